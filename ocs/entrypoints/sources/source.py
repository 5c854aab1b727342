"""An event source: how one kind of client writes its events, and how it wants to be answered.

A source is a file of `config/sources`; the structs are what may stand in it. Its events become
canonical ones by the field map, before anything is interpreted, so that no client has a way of its
own through charging; its answers become its words by the answer map, after everything is decided.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

Path = Annotated[str, Meta(min_length=1, max_length=255)]
"""Where a value is in a client's event: names joined by dots; `mscc[].used` of each in a list."""
Paths = Path | tuple[Path, ...]
"""Of several the first that is present, not null and not an empty text counts."""
Units = Annotated[int, Meta(ge=0)]


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """One place that may say who uses, and what is done to it.

    `kind`: `number` is cleaned by the tenant's rules; `text` is taken as it is. `pattern` is a
    regular expression with one group, which is the identity; what does not match is not there.
    """

    field: Path
    kind: Literal["number", "text"] = "number"
    pattern: str = ""


class Defaults(Struct, frozen=True, forbid_unknown_fields=True):
    """What the source sets for one usage type; 0 leaves it to the plan."""

    quota_units: Units = 0
    minimum_units: Units = 0
    maximum_units: Units = 0
    validity_s: Units = 0
    threshold_units: Units = 0


class Reports(Struct, frozen=True, forbid_unknown_fields=True):
    """How use is reported.

    `used`: since the last report, or since the session began. `settle`: each report at once, or all
    at the release. `unknown_session`: an update that nobody started opens it, or is refused.
    `absent_request`: what an update that asks for nothing is given, the plan's quota or nothing.
    `unit_ms`: with `used` in milliseconds 1, in seconds 1000; 0: units are what they are.
    """

    used: Literal["delta", "total"] = "delta"
    settle: Literal["at once", "at release"] = "at once"
    unknown_session: Literal["open", "refuse"] = "open"
    absent_request: Literal["quota", "nothing"] = "quota"
    unit_ms: Units = 0


class Answering(Struct, frozen=True, forbid_unknown_fields=True):
    """How the client is answered.

    `form`: `canonical` (docs/protocol.md), `mapped` (`fields` below), `diameter` (a CCA).
    `encoding`: JSON, or `name=value` lines (of nested names joined by dots).
    `http_status`: that of the outcome, or 200 whatever the outcome is.
    `code`: which number of the table of return codes `return_code` is.
    `fields`: name in the answer (dots nest) → name of a value (encoders/values.py lists them), or a
    constant: `"=text"`, `"=1"`. Values that are not there are left out, unless `empty` names them:
    name of a value → what stands for it. A field `list[].name` is written once for each service.
    `values`: name of a value → our word → the client's (`usage_type`: voice → call).
    """

    form: Literal["canonical", "mapped", "diameter"] = "canonical"
    encoding: Literal["json", "kv"] = "json"
    http_status: Literal["outcome", "200"] = "outcome"
    code: Literal["number", "diameter", "sip", "http_status", "3gpp"] = "number"
    fields: Mapping[str, str] = {}
    empty: Mapping[str, str | int | bool] = {}
    failure_handling: Literal["", "terminate", "continue", "retry_and_terminate"] = ""
    values: Mapping[str, Mapping[str, str]] = {}


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of `config/sources`; `name` is the file's.

    `fields`: canonical field → where it is in the client's event. `values`: canonical field → the
    client's word → the canonical one. `constants`: canonical field → its value where the event does
    not say. `identify`: who uses, the first that is there; empty: the canonical order.
    `rated`: by usage type, the canonical fields of which the first that is there is rated
    (`rating_group` among them, for data); empty: `routing_number`, then `called_number`.
    `inside`: where the event is, if not the whole body (`request`, `event`); the first there is.
    `session_fields`: of several canonical or own fields, joined, the session's name; empty:
    `session_id`.
    `tenants`: value of the canonical field `tenant_key` → tenant.
    `keep_unmapped`: what is not mapped is kept for the CDR.
    """

    name: str
    about: str
    format: Literal["json", "kv", "diameter"] = "json"
    inside: tuple[Path, ...] = ()
    fields: Mapping[str, Paths] = {}
    values: Mapping[str, Mapping[str, str]] = {}
    constants: Mapping[str, str | int | float | bool] = {}
    identify: tuple[Identity, ...] = ()
    session_fields: tuple[Path, ...] = ()
    rated: Mapping[str, tuple[str, ...]] = {}
    tenants: Mapping[str, str] = {}
    defaults: Mapping[str, Defaults] = {}
    reports: Reports = Reports()
    answer: Answering = Answering()
    keep_unmapped: bool = True
