"""The same with a clean session, its default."""

import app_chumicro


class App(app_chumicro.App):
    CLEAN = True
