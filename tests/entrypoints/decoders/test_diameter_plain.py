"""Commands as nearly all gateways write them are read by a short cut, which nobody can tell."""

import json
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ocs.domain.events import Event
from ocs.entrypoints.decoders.attributes import LONGEST_ATTRIBUTES
from ocs.entrypoints.decoders.diameter import canonical_of
from ocs.entrypoints.decoders.diameter_plain import read_plainly
from ocs.entrypoints.decoders.judging import DecoderSettings, Judge
from ocs.entrypoints.decoders.mapped import MappedDecoder, Translation, read_json_or_form
from ocs.entrypoints.decoders.mapping import SourceMap
from ocs.entrypoints.dialects import Decoded
from ocs.entrypoints.sources.dialects import manner_of
from tests.entrypoints.decoders.reading import ORIGIN
from tests.entrypoints.sources.stage import shipped_sources

SOURCE = next(source for source in shipped_sources() if source.name == "diameter")
SHORT = MappedDecoder(
    Judge(DecoderSettings(), manner_of(SOURCE), SOURCE.name),
    SourceMap(SOURCE),
    read_json_or_form,
    most_events=1_000,
    translation=Translation(canonical_of, read_plainly),
)
LONG = MappedDecoder(
    Judge(DecoderSettings(), manner_of(SOURCE), SOURCE.name),
    SourceMap(SOURCE),
    read_json_or_form,
    most_events=1_000,
    translation=Translation(canonical_of),
)
MSCC = "Multiple-Services-Credit-Control"
RSU = "Requested-Service-Unit"
USU = "Used-Service-Unit"
COMMAND: dict[str, Any] = {
    "Session-Id": "gw;1;2",
    "Origin-Host": "gw.example.com",
    "Service-Context-Id": "32251@3gpp.org",
    "CC-Request-Type": 2,
    "CC-Request-Number": 7,
    "Subscription-Id": [{"Subscription-Id-Type": 0, "Subscription-Id-Data": "441632960001"}],
    "Event-Timestamp": "2026-11-20T09:22:25Z",
    MSCC: [{"Rating-Group": 100, RSU: {}, USU: {"CC-Total-Octets": 5, "Reporting-Reason": 2}}],
}
NESTED: dict[str, Any] = {"a": [{"b": {"c": []}}]}


ODD: st.SearchStrategy[Any] = st.sampled_from([
    None, True, False, 0, 1, -1, 1.0, 59.5, 2**32, 2**63, 10**12, "", " ", "0", "60", "1795166545", "é", "x" * 300,
    [], {}, [[]], [None], [1, 2], [{}], [{"CC-Time": 5}], {"a": None}, {"a": 1}, {"CC-Time": "5"}, {"CC-Money": {}},
])  # fmt: skip


def mostly(plain: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 24).flatmap(lambda chance: plain if chance else ODD)


def group(**avps: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Some of these, spelled with underscores, and now and then one that nobody reads."""
    spelled = {name.replace("_", "-"): mostly(each) for name, each in avps.items()}
    return st.builds(
        operator.or_,
        st.fixed_dictionaries({}, optional=spelled),
        st.sampled_from([{}] * 19 + [{"X-Vendor": "x"}]),
    )


def sometimes_listed(plain: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return plain | st.lists(plain, min_size=1, max_size=2)


KEPT: st.SearchStrategy[Any] = st.sampled_from([1, 1.5, "x", True, [1], {"a": 1}, {}, {"a": [{"b": {}}]}])  # fmt: skip
TEXTS = st.sampled_from(["tel:+441632960001", "sip:alice@example.com", "00442071234567", "112", "internet"])  # fmt: skip
UNITS = st.integers(0, 10**7)
COUNTED = st.sampled_from(["CC-Time", "CC-Total-Octets", "CC-Service-Specific-Units"]).flatmap(
    lambda name: st.fixed_dictionaries({name: mostly(UNITS)})
) | group(
    CC_Time=UNITS, CC_Total_Octets=UNITS, CC_Input_Octets=UNITS, CC_Output_Octets=UNITS,
    CC_Service_Specific_Units=UNITS, Reporting_Reason=UNITS, Tariff_Change_Usage=st.integers(0, 2),
)  # fmt: skip
SERVICE = group(
    Rating_Group=st.sampled_from([0, 1, 100, 2**32 - 1]),
    Service_Identifier=st.sampled_from([0, 7, [7], [7, 8]]),
    Requested_Service_Unit=st.just({}) | COUNTED,
    Used_Service_Unit=sometimes_listed(COUNTED),
    Trigger=KEPT,
)
IDENTITIES = sometimes_listed(
    st.builds(
        lambda kind, data: {"Subscription-Id-Type": kind, "Subscription-Id-Data": data},
        mostly(st.sampled_from([0, 1, 2, 3, 4, "END_USER_E164"])), mostly(TEXTS),
    )
)  # fmt: skip
RESPONDED = st.sampled_from([1_795_166_500, "1795166500", 1_795_166_500_000, 0, "2026-11-20T09:22:20Z"])  # fmt: skip
CALLS = group(
    Event_Type=group(SIP_Method=st.sampled_from(["INVITE", "BYE"])),
    Role_Of_Node=st.sampled_from([0, 1, 2, 3, "TERMINATING_ROLE"]),
    Calling_Party_Address=sometimes_listed(TEXTS),
    Called_Party_Address=sometimes_listed(TEXTS),
    Number_Portability_Routing_Information=TEXTS,
    Trunk_Group_ID=group(Incoming_Trunk_Group_ID=TEXTS, Outgoing_Trunk_Group_ID=TEXTS),
    Cause_Code=st.sampled_from([-1, 0, 1]),
    Reason_Header=KEPT,
    Time_Stamps=group(SIP_Request_Timestamp=RESPONDED, SIP_Response_Timestamp=RESPONDED),
)
ADDRESS = sometimes_listed(group(Address_Type=st.just(1), Address_Data=TEXTS) | TEXTS)
MESSAGES = group(
    Recipient_Info=sometimes_listed(group(Recipient_Address=ADDRESS)),
    Recipient_Address=ADDRESS,
    Originator_Received_Address=ADDRESS,
    Originator_Address=ADDRESS,
)
INFORMATION = group(
    Subscription_Id=IDENTITIES,
    IMS_Information=CALLS,
    PS_Information=group(Called_Station_Id=TEXTS, X_Own=KEPT),
    SMS_Information=MESSAGES,
    MMS_Information=MESSAGES,
)
CONTEXTS = st.sampled_from(["32251@3gpp.org", "ext.32260@3gpp.org", "32274@3gpp.org", "other@example.com"])  # fmt: skip
AVPS = group(
    Service_Context_Id=CONTEXTS,
    CC_Request_Type=st.sampled_from([1, 2, 3, 4, "UPDATE_REQUEST"]),
    CC_Request_Number=st.sampled_from([0, 1, 2**32 - 1]),
    Subscription_Id=IDENTITIES,
    Event_Timestamp=RESPONDED,
    Termination_Cause=st.sampled_from([1, "DIAMETER_LOGOUT"]),
    Requested_Action=st.integers(0, 3),
    Refund_Information=st.just("007-1-0"),
    Multiple_Services_Indicator=st.integers(0, 1),
    Multiple_Services_Credit_Control=sometimes_listed(SERVICE),
    Service_Information=INFORMATION,
    User_Name=TEXTS,
    User_Equipment_Info=KEPT,
)
UNUSUAL = st.dictionaries(
    st.sampled_from(["CC-Sub-Session-Id", RSU, USU, "called_number", "nai", "used", "tenant", "CCR"]),
    ODD | COUNTED, max_size=1,
)  # fmt: skip
BESIDE = st.fixed_dictionaries({}, optional={RSU: st.just({}) | COUNTED, USU: COUNTED})


def told(decoded: Decoded) -> Decoded:
    """Return it without what may differ: in which order the AVPs that are kept stand."""
    event = decoded.outcome
    if not isinstance(event, Event) or len(event.attributes) > LONGEST_ATTRIBUTES - 100:
        return decoded
    ordered = json.dumps(json.loads(event.attributes), sort_keys=True).encode()
    return replace(decoded, outcome=replace(event, attributes=ordered))


def assert_nobody_can_tell(command: dict[str, Any]) -> None:
    for sent in (command, {"CCR": command}):
        body = json.dumps(sent).encode()
        by_long = told(LONG.decode(body, ORIGIN))
        assert told(SHORT.decode(body, ORIGIN)) == by_long
        assert told(SHORT.decode_plain(sent, ORIGIN)) == by_long


@given(avps=AVPS, unusual=UNUSUAL)
def test_it_is_read_as_by_the_longer_way(avps: dict[str, Any], unusual: dict[str, Any]) -> None:
    assert_nobody_can_tell(COMMAND | avps | unusual)


@given(avps=AVPS, beside=BESIDE)
def test_also_with_units_beside_services(avps: dict[str, Any], beside: dict[str, Any]) -> None:
    bare = {name: value for name, value in (COMMAND | avps | beside).items() if name != MSCC}
    assert_nobody_can_tell(bare)


@given(mscc=sometimes_listed(SERVICE), information=INFORMATION, kind=st.integers(1, 3))
def test_also_of_nothing_but_what_is_plain(mscc: Any, information: Any, kind: int) -> None:
    service = {MSCC: mscc, "CC-Request-Type": kind, "Service-Information": information}
    assert_nobody_can_tell(COMMAND | service)


@pytest.mark.parametrize(
    "avps",
    [
        {},
        {"CC-Request-Type": 4, "Requested-Action": 1, "Refund-Information": "007-1-0"},
        {MSCC: {"Rating-Group": 0, "Service-Identifier": 7, USU: {"CC-Input-Octets": 5}}},
        {MSCC: [{"Rating-Group": 1, USU: [{"CC-Total-Octets": 5, "CC-Time": 1}]}, {RSU: {}}]},
        {"Service-Information": {"PS-Information": {"Called-Station-Id": "internet"}}},
        {"Service-Information": {"IMS-Information": {"Time-Stamps": {"SIP-Response-Timestamp": 1}}}},
        {"User-Equipment-Info": NESTED},
    ],
)  # fmt: skip
def test_the_short_cut_is_taken(avps: dict[str, Any]) -> None:
    assert read_plainly(COMMAND | avps) is not None
    assert read_plainly(json.dumps({"CCR": COMMAND | avps}).encode()) is not None
    assert_nobody_can_tell(COMMAND | avps)


def test_what_is_kept_is_all_that_is_not_read() -> None:
    outcome = SHORT.decode(json.dumps(COMMAND).encode(), ORIGIN).outcome
    assert isinstance(outcome, Event)
    assert json.loads(outcome.attributes) == {
        "msisdn": "441632960001",
        "Service-Context-Id": "32251@3gpp.org",
        "Origin-Host": "gw.example.com",
        MSCC: {"Rating-Group": 100, USU: {"Reporting-Reason": 2}},
    }


def test_what_is_given_stays_as_it_is() -> None:
    before = json.dumps(COMMAND)
    read_plainly(COMMAND)
    assert json.dumps(COMMAND) == before
