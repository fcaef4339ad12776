"""A batch system that runs every job at once, as a process of this machine."""

from typing import Any

from dask_jobqueue.core import Job, JobQueueCluster


class ToyJob(Job):
    submit_command = "sh -c 'cp \"$1\" toy.sh; setsid sh toy.sh >toy.log 2>&1 & echo job $!' submit"
    cancel_command = "sh -c 'kill -- -$1' cancel"
    config_name = "slurm"  # it has no configuration of its own

    def __init__(
        self,
        scheduler: Any = None,
        name: str | None = None,
        queue: str | None = None,
        walltime: str | None = None,
        config_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scheduler=scheduler, name=name, config_name=config_name, **kwargs)
        self.job_header = f"#TOY -q {queue} -t {walltime}"


class ToyCluster(JobQueueCluster):
    job_cls = ToyJob
