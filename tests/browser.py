"""What a headless browser shows of pages that Bokeh draws."""

import time

PATIENCE = 60.0  # s, for a browser on a busy machine
# Bokeh draws into shadow trees, and titles on canvases: neither is in the text of a page
TEXT = """
const text = node => node.nodeType === Node.TEXT_NODE ? node.textContent :
  ['STYLE', 'SCRIPT'].includes(node.nodeName) ? '' :
  [...(node.shadowRoot ? node.shadowRoot.childNodes : []), ...node.childNodes].map(text).join(' ');
const titles = (window.Bokeh?.documents[0]?.roots() ?? []).flatMap(
  root => [...root.references()].filter(model => model.type === 'Title').map(model => model.text));
return [text(document.body), ...titles].join(' ').replace(/\\s+/g, ' ');
"""


def wait_for(look, what):
    end = time.monotonic() + PATIENCE
    while not what(found := look()):
        assert time.monotonic() < end, f"still {found!r}"
        time.sleep(0.1)
    return found


def wait_for_text(browser, *texts):
    return wait_for(lambda: browser.execute_script(TEXT), lambda shown: all(text in shown for text in texts))


def errors_of(browser):
    return [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]
