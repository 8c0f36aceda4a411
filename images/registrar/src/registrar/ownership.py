"""Gives what the first superuser owns in a database to another role.

``REASSIGN OWNED`` refuses to do it for that role: the system's own objects are its too. So each kind of object is
looked up, and changed by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from registrar.database import Connection

_OURS = """
n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.objid = {oid} AND d.classid = {catalog}::regclass
  AND d.deptype = 'e')
"""
"""Not the system's, nor an extension's."""

_RELATIONS = f"""
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
  WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, n.nspname, c.relname, NULL
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relowner = current_user::regrole AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
  AND {_OURS.format(oid="c.oid", catalog="'pg_class'")}
  -- A column's own sequence goes with its table.
  AND NOT EXISTS (SELECT 1 FROM pg_depend AS o WHERE o.objid = c.oid AND o.classid = 'pg_class'::regclass
    AND c.relkind = 'S' AND o.deptype IN ('a', 'i') AND o.refobjsubid > 0)
"""  # noqa: S608  # put together from what stands above
_TYPES = f"""
SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, n.nspname, t.typname, NULL
FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
  LEFT JOIN pg_class AS c ON c.oid = t.typrelid
WHERE t.typowner = current_user::regrole AND t.typtype IN ('d', 'e', 'r', 'c')
  AND (t.typtype <> 'c' OR c.relkind = 'c')
  AND {_OURS.format(oid="t.oid", catalog="'pg_type'")}
"""  # noqa: S608  # put together from what stands above
_ROUTINES = f"""
SELECT CASE p.prokind WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
  n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.proowner = current_user::regrole
  AND {_OURS.format(oid="p.oid", catalog="'pg_proc'")}
"""  # noqa: S608  # put together from what stands above
_SCHEMAS = f"""
SELECT 'SCHEMA', n.nspname, NULL, NULL FROM pg_namespace AS n
WHERE n.nspowner = current_user::regrole AND n.nspname <> 'public'
  AND {_OURS.format(oid="n.oid", catalog="'pg_namespace'")}
"""  # noqa: S608  # put together from what stands above


def give_away(connection: Connection, to: str) -> None:
    """Make ``to`` the owner of all that the present role owns in this database and that is not the system's.

    Raises:
        psycopg.Error: nothing was changed, where it is one transaction.
    """
    for query in (_SCHEMAS, _RELATIONS, _TYPES, _ROUTINES):
        for kind, schema, name, arguments in connection.execute(query).fetchall():
            what = sql.Identifier(schema, name) if name else sql.Identifier(schema)
            signature = sql.SQL("({})").format(sql.SQL(arguments)) if arguments is not None else sql.SQL("")
            connection.execute(
                sql.SQL("ALTER {} {}{} OWNER TO {}").format(sql.SQL(kind), what, signature, sql.Identifier(to))
            )
