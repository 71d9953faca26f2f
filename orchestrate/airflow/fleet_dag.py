"""Syncs each customer in a task of its own, every hour."""

from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag, task

HERE = Path(__file__).parent


@dag(
    schedule="@hourly",
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1024,  # The pool says how many customers there are at a time.
    # The delay is longer than the five minutes for which Meltano's lock outlives a host.
    default_args={"retries": 2, "retry_delay": timedelta(minutes=6)},
)
def fleet() -> None:
    """List the customers, and sync each."""

    @task
    def customers() -> list[dict[str, str]]:
        # Names only: what a task returns is stored.
        names = sorted(path.stem for path in (HERE / "customers").glob("*.env"))
        if not names:
            message = f"There is no NAME.env in {HERE / 'customers'}"
            raise FileNotFoundError(message)
        return [{"CUSTOMER": name} for name in names]

    BashOperator.partial(
        task_id="sync",
        bash_command='./sync "$CUSTOMER"',
        cwd=str(HERE),
        append_env=True,
        pool="customers",
        # A sync that hangs would hold up the next run. What it has read is not read again.
        execution_timeout=timedelta(hours=6),
        map_index_template="{{ task.env['CUSTOMER'] }}",
    ).expand(env=customers())


fleet()
