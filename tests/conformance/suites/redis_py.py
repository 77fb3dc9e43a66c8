"""A plugin of pytest: the outcome of each test in a line. Never changes a test."""


def pytest_collection(session):
    session.config.pluginmanager.register(Outcomes(session.config))


class Outcomes:
    def __init__(self, config):
        self.terminal = config.pluginmanager.get_plugin("terminalreporter")

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or not report.passed:
            self.terminal.write_line(f"\n[{report.outcome}] {report.nodeid}")
