"""The Models page: the registry inside Airflow's UI, read-only, and the same as JSON.

``models_page_plugin`` and ``models_page_access`` in the Airflow image know Airflow. All of this is an
application of its own that is told who asks (:class:`~models_page.login.Access`) and what to read.
"""

PREFIX = "/bulkhead"
"""Where the application is mounted, below Airflow's own root."""
