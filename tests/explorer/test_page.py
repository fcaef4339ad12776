"""The explorer in a browser: choose, drag, brush, and read numbers."""

import http.client
import os
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

import daskglass as dg
from tests.browser import errors_of, wait_for, wait_for_text
from tests.studies import command_here

# an element that Bokeh drew for the model of a name: it draws into shadow trees
ELEMENT = "return Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name(arguments[0])).shadow_el.querySelector(arguments[1])"
CODE = "return [...Bokeh.documents[0]._all_models.values()].flatMap(model => model.tags ?? [])[0]"
# in pixels from the middle of its canvas: places in a plot
CORNERS = """
const view = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name(arguments[0]));
const canvas = view.canvas_view.el, {width, height} = canvas.getBoundingClientRect();
const {x_scale, y_scale} = view.frame;
return [canvas, arguments[1].map(([x, y]) => [x_scale.compute(x) - width / 2, y_scale.compute(y) - height / 2])];
"""


@pytest.fixture(scope="module")
def address(small):
    explorer = subprocess.Popen(
        [sys.executable, "-m", "daskglass", "explore", str(small)], stdout=subprocess.PIPE, text=True
    )
    yield explorer.stdout.readline().split()[1]
    os.kill(explorer.pid, signal.SIGTERM)
    assert explorer.wait(20) == 0


def element(browser, name, selector):
    return wait_for(lambda: browser.execute_script(ELEMENT, name, selector), bool)


def brush(browser, name, *corners):
    from selenium.webdriver import ActionChains

    plot, ((x0, y0), (x1, y1)) = browser.execute_script(CORNERS, name, corners)
    chain = ActionChains(browser, duration=50).move_to_element_with_offset(plot, x0, y0).click_and_hold()
    chain.move_to_element_with_offset(plot, (x0 + x1) / 2, (y0 + y1) / 2)
    chain.move_to_element_with_offset(plot, x1, y1).release().perform()


def found_by_code(browser):
    names = {}
    exec(browser.execute_script(CODE), names)
    return names["chosen"]


def test_what_is_chosen_dragged_and_brushed_is_what_the_numbers_say(browser, small, address):
    from selenium.webdriver import Keys
    from selenium.webdriver.support.select import Select

    run = dg.open_store(small)["ka_0.0/production"].to_dataset().load()
    browser.get(address)
    first = run.isel(temperature=-1, replica=0, time=2)
    wait_for_text(
        browser, "400 of 400 particles chosen", f"mean softness: {float(first.softness.mean()):.3g}".replace("-", "−")
    )

    Select(element(browser, "temperature", "select")).select_by_value("0.8")
    element(browser, "time", ".noUi-handle").send_keys(Keys.ARROW_RIGHT)
    frame = run.sel(temperature=0.8, replica=0, time=7.5)
    wait_for_text(browser, "time: 7.5 τ", f"mean softness: {float(frame.softness.mean()):.3g}".replace("-", "−"))

    brush(browser, "histogram", (-0.3, 5), (0.5, 5))
    wait_for(lambda: browser.execute_script(CODE), lambda code: "first <=" in code)
    softness = found_by_code(browser).softness
    assert float(softness.min()) >= -0.32
    assert float(softness.max()) <= 0.52
    count = int(((frame.softness >= -0.3) & (frame.softness <= 0.5)).sum())
    assert abs(int(softness.count()) - count) < 20
    wait_for_text(
        browser,
        f"{int(softness.count())} of 400 particles chosen",
        "P_R, softness −0.",
        f"around {int(softness.count())}",
    )

    brush(browser, "slab", (1.0, 1.0), (5.0, 6.0))
    wait_for(lambda: browser.execute_script(CODE), lambda code: "away" in code)
    both = found_by_code(browser)
    wait_for_text(browser, f"{int(both.softness.count())} of 400 particles chosen", " alone; ")
    assert 0 < int(both.softness.count()) < int(softness.count())
    inside = (both.inherent % both.box).sel(xyz="x")
    assert float(inside.min()) > 0.9
    assert float(inside.max()) < 5.1

    element(browser, "clear", "button").click()
    wait_for_text(browser, "400 of 400 particles chosen")

    element(browser, "range", ".noUi-handle-lower").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    wait_for(lambda: browser.execute_script(CODE), lambda code: "first >=" in code)
    softest = found_by_code(browser).softness
    assert float(softest.max()) == float(frame.softness.max())
    assert 0 < int(softest.count()) < 400

    # not computed
    Select(element(browser, "replica", "select")).select_by_value("0")
    handle = element(browser, "time", ".noUi-handle")
    handle.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    wait_for_text(browser, "not computed yet")

    Select(element(browser, "temperature", "select")).select_by_value("0.6")
    Select(element(browser, "run", "select")).select_by_value("isoconfigurational")
    wait_for_text(browser, "configuration: 9", "mean averaged, generation 0")
    Select(element(browser, "colour by", "select")).select_by_visible_text("propensity")
    wait_for_text(browser, "configuration: 9", "mean propensity", "no p_hop over times")
    assert not errors_of(browser)


def test_a_page_as_wide_as_a_phone_scrolls_downwards_alone_and_its_sliders_have_names(browser, address):
    narrow = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    try:
        browser.get(address)
        wait_for_text(browser, "400 of 400 particles chosen", "the same in code")
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert element(browser, "time", ".noUi-handle[aria-label='time']")
        assert element(browser, "range", ".noUi-handle-upper[aria-label='highest softness']")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def answer(address, path, **headers):
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
    connection.request("GET", path, headers=headers)
    return connection.getresponse().status


def test_nothing_is_answered_without_the_secret_or_to_pages_of_other_sites(address):
    place = urlsplit(address)
    prefix = place.path.removesuffix("explore")
    assert len(prefix) > 30
    assert answer(address, place.path) == 200
    other = f"{prefix[:-2]}{'y' if prefix[-2] == 'x' else 'x'}/explore"
    for path in ("/", "/explore", "/static/js/bokeh.min.js", "/explore/ws", other, "/favicon.ico"):
        assert answer(address, path) == 403
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "MTIzNDU2Nzg5MGFiY2RlZg=="
    assert answer(address, f"{prefix}explore/ws", Origin="http://example.org", **upgrade) == 403


def test_the_server_listens_on_loopback_alone(address):
    import psutil

    port = urlsplit(address).port
    listening = {
        each.laddr.ip for each in psutil.net_connections("tcp") if each.laddr.port == port and each.status == "LISTEN"
    }
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("name", "problem"), [("none.zarr", "no store here"), ("empty.zarr", "has particles with positions")]
)
def test_stores_with_nothing_to_show_are_refused(tmp_path, name, problem):
    import xarray as xr

    xr.DataTree.from_dict({"a/ensemble": xr.Dataset({"s2": 1.0})}).to_zarr(tmp_path / "empty.zarr", consolidated=False)
    done = command_here("explore", name, folder=tmp_path)
    assert done.returncode == 1
    assert problem in done.stderr
