"""What Airflow loads: the application, and its place in the navigation."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from models_page import PREFIX


class ModelsPage(AirflowPlugin):
    """The Models page.

    Every process of Airflow loads its plugins, each task too; only the API server asks for the two
    properties, and only then is the application imported.
    """

    name = "bulkhead_models"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The application, made once."""
        from bulkhead_airflow import upload_settings
        from bulkhead_airflow.models_page_access import AirflowAccess
        from models_page.app import create_app

        home = Path(os.environ.get("AIRFLOW_HOME", "/opt/airflow"))
        arrivals, trouble = upload_settings.arrivals(home / "arriving", os.environ)
        return [
            {
                "name": "Models",
                "app": create_app(
                    home / "models",
                    home / "shared",
                    AirflowAccess(),
                    docs=home / "help",
                    arrivals=arrivals,
                    trouble=trouble,
                ),
                "url_prefix": PREFIX,
            }
        ]

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:
        """The entry in the navigation, which opens inside the UI, and one in the menu of documentation."""
        root = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + PREFIX
        return [
            {
                "name": "Bulkhead",
                "href": f"{root}/",
                "url_route": "models",  # of addresses that people have kept
                "destination": "nav",
                "nav_top_level": True,
                "icon": f"{root}/static/icon.svg",
                "icon_dark_mode": f"{root}/static/icon-dark.svg",
            },
            # Without a route of its own it is a plain link, in a tab of its own, as Airflow's are there.
            {"name": "Bulkhead", "href": f"{root}/help", "destination": "nav", "category": "docs"},
        ]
