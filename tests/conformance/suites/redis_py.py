"""A plugin of pytest: the outcome of each test in a line, and nothing skipped because of the version
that INFO names, as Weir has the commands of newer ones. Never changes a test."""

NEWEST = "8.10.0"


def pytest_collection(session):
    from tests.conftest import REDIS_INFO

    REDIS_INFO["version"] = NEWEST
    session.config.pluginmanager.register(Outcomes(session.config))


class Outcomes:
    def __init__(self, config):
        self.terminal = config.pluginmanager.get_plugin("terminalreporter")

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or not report.passed:
            self.terminal.write_line(f"\n[{report.outcome}] {report.nodeid}")
