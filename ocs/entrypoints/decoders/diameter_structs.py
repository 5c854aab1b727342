"""The AVPs of a Credit-Control-Request as structs, into which a body decodes in one go.

A class has what charging reads of a group, by kind; its decorator names the AVPs that RFC 8506 and
TS 32.299 have there, read ones and others. The others are of any kind that is not nested deeply,
and are kept: what is left of a struct when the read ones are taken off is written for the CDR as it
stands. An AVP that is not named, a null or another kind is an error of the decoder, and the command
one that `diameter` reads.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar, cast

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, Struct, UnsetType, defstruct, field
from msgspec.structs import fields

from ocs.entrypoints.decoders.diameter import GREATEST_NUMBER, unwrapped
from ocs.entrypoints.decoders.diameter_units import GREATEST_KEY
from ocs.entrypoints.decoders.wire import LONGEST_TEXT, MOST_SERVICES, Extras, Instant, Whole

_Group = TypeVar("_Group", bound=Struct)

_Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
_Names = _Name | Annotated[list[_Name], Meta(min_length=1)]
_Number = Annotated[int, Meta(ge=0, le=GREATEST_NUMBER)]
_Key = Annotated[int, Meta(ge=0, le=GREATEST_KEY)]
_Keys = _Key | Annotated[list[_Key], Meta(min_length=1, max_length=2)]
_Nothing = Annotated[str, Meta(min_length=1, max_length=0)]
_NoCause = Annotated[int, Meta(ge=1, le=0)] | _Nothing
_Type = Literal[0, 1, 2, "END_USER_E164", "END_USER_IMSI", "END_USER_SIP_URI"]
_Role = Literal[0, 1, 2, "ORIGINATING_ROLE", "TERMINATING_ROLE", "FORWARDING_ROLE"]

_Bare = str | int | float | bool
_In1 = _Bare | list[_Bare] | dict[str, _Bare]
_In2 = _Bare | list[_In1] | dict[str, _In1]
_In3 = _Bare | list[_In2] | dict[str, _In2]
_In4 = _Bare | list[_In3] | dict[str, _In3]
_Kept = _Bare | list[_In4] | dict[str, _In4]


def _avps(names: str) -> Callable[[type[_Group]], type[_Group]]:
    """Name the AVPs of a group.

    A decoder looks for each name behind the one before, so an order as gateways have it is fast.
    """

    def with_kept(read: type[_Group]) -> type[_Group]:
        of_name = {own.encode_name: own for own in fields(read)}
        assert of_name.keys() <= set(names.split()), "what is read is of the group"
        members: list[tuple[str, Any, Any]] = []
        for name in names.split():
            if own := of_name.get(name):
                default = NODEFAULT if own.required else UNSET
                members.append((own.name, own.type, field(name=name, default=default)))
            else:
                kept = name.replace("-", "_")
                members.append((kept, _Kept | UnsetType, field(name=name, default=UNSET)))
        made = defstruct(read.__name__, members, forbid_unknown_fields=True, kw_only=True, gc=False)
        return cast("type[_Group]", made)  # it has all that the class has

    return with_kept


@_avps("Subscription-Id-Type Subscription-Id-Data")
class Identity(Struct):
    kind: _Type = field(name="Subscription-Id-Type")
    data: _Name = field(name="Subscription-Id-Data")


Identities = Identity | list[Identity]


@_avps(
    "CC-Time CC-Total-Octets CC-Input-Octets CC-Output-Octets CC-Service-Specific-Units"
    " Reporting-Reason Event-Charging-TimeStamp"
)
class Units(Struct):
    """A Requested- or a Used-Service-Unit."""

    time: Whole | UnsetType = field(name="CC-Time", default=UNSET)
    octets: Whole | UnsetType = field(name="CC-Total-Octets", default=UNSET)
    inward: Whole | UnsetType = field(name="CC-Input-Octets", default=UNSET)
    outward: Whole | UnsetType = field(name="CC-Output-Octets", default=UNSET)
    events: Whole | UnsetType = field(name="CC-Service-Specific-Units", default=UNSET)


class Level(Struct):
    """What asks for units and reports them: a command, or a service of it."""

    requested: Units | list[Units] | UnsetType = field(name="Requested-Service-Unit", default=UNSET)
    used: Units | list[Units] | UnsetType = field(name="Used-Service-Unit", default=UNSET)


@_avps(
    "Service-Identifier Rating-Group Requested-Service-Unit Used-Service-Unit Reporting-Reason"
    " Trigger Time-Quota-Threshold Volume-Quota-Threshold Unit-Quota-Threshold Quota-Holding-Time"
    " Quota-Consumption-Time QoS-Information Tariff-Change-Usage Refund-Information Result-Code"
    " Validity-Time Final-Unit-Indication G-S-U-Pool-Reference AF-Correlation-Information"
    " PS-Furnish-Charging-Information Envelope Envelope-Reporting Time-Quota-Mechanism"
    " Service-Specific-Info Announcement-Information"
)
class Service(Level):
    """A Multiple-Services-Credit-Control."""

    rating_group: _Key | UnsetType = field(name="Rating-Group", default=UNSET)
    identifiers: _Keys | UnsetType = field(name="Service-Identifier", default=UNSET)


@_avps("SIP-Method Event Expires")
class EventType(Struct):
    method: str | UnsetType = field(name="SIP-Method", default=UNSET)


@_avps("Incoming-Trunk-Group-ID Outgoing-Trunk-Group-ID")
class Trunks(Struct):
    inward: _Name | UnsetType = field(name="Incoming-Trunk-Group-ID", default=UNSET)
    outward: _Name | UnsetType = field(name="Outgoing-Trunk-Group-ID", default=UNSET)


@_avps(
    "SIP-Request-Timestamp SIP-Response-Timestamp SIP-Request-Timestamp-Fraction"
    " SIP-Response-Timestamp-Fraction"
)
class Stamps(Struct):
    response: Instant | UnsetType = field(name="SIP-Response-Timestamp", default=UNSET)


@_avps(
    "Event-Type Role-Of-Node User-Session-ID Calling-Party-Address Called-Party-Address"
    " Number-Portability-Routing-Information Trunk-Group-ID Cause-Code Time-Stamps"
    " Node-Functionality Outgoing-Session-ID Session-Priority Called-Asserted-Identity"
    " Called-Identity-Change Carrier-Select-Routing-Information Alternate-Charged-Party-Address"
    " Requested-Party-Address Associated-URI Application-Server-Information"
    " Inter-Operator-Identifier Transit-IOI-List IMS-Charging-Identifier SDP-Session-Description"
    " SDP-Media-Component Served-Party-IP-Address Server-Capabilities Bearer-Service"
    " Service-Id Service-Specific-Info Message-Body Reason-Header Access-Network-Information"
    " Cellular-Network-Information Early-Media-Description IMS-Communication-Service-Identifier"
    " IMS-Application-Reference-Identifier Online-Charging-Flag Real-Time-Tariff-Information"
    " Account-Expiration Initial-IMS-Charging-Identifier NNI-Information From-Address"
    " IMS-Emergency-Indicator IMS-Visited-Network-Identifier Access-Network-Info-Change"
    " Access-Transfer-Information Related-IMS-Charging-Identifier"
    " Related-IMS-Charging-Identifier-Node Route-Header-Received Route-Header-Transmitted"
    " Instance-Id TAD-Identifier Tariff-Information UE-Local-IP-Address FE-Identifier-List"
)
class Calls(Struct):
    """IMS-Information."""

    event: EventType | UnsetType = field(name="Event-Type", default=UNSET)
    role: _Role | UnsetType = field(name="Role-Of-Node", default=UNSET)
    calling: _Names | UnsetType = field(name="Calling-Party-Address", default=UNSET)
    called: _Names | UnsetType = field(name="Called-Party-Address", default=UNSET)
    ported: _Name | UnsetType = field(name="Number-Portability-Routing-Information", default=UNSET)
    trunks: Trunks | UnsetType = field(name="Trunk-Group-ID", default=UNSET)
    cause: int | UnsetType = field(name="Cause-Code", default=UNSET)
    stamps: Stamps | UnsetType = field(name="Time-Stamps", default=UNSET)


@_avps(
    "Subscription-Id PS-Information IMS-Information SMS-Information MMS-Information"
    " AoC-Information LCS-Information PoC-Information MBMS-Information VCS-Information"
    " MMTel-Information Service-Generic-Information IM-Information DCD-Information"
    " M2M-Information CPDT-Information ProSe-Information"
)
class Information(Struct):
    """Service-Information. Its larger groups, to which vendors add, may have any AVP inside."""

    identities: Identities | UnsetType = field(name="Subscription-Id", default=UNSET)
    calls: Calls | UnsetType = field(name="IMS-Information", default=UNSET)
    packets: dict[str, _In4] | UnsetType = field(name="PS-Information", default=UNSET)
    sms: dict[str, _In4] | UnsetType = field(name="SMS-Information", default=UNSET)
    mms: dict[str, _In4] | UnsetType = field(name="MMS-Information", default=UNSET)


@_avps(
    "Session-Id Origin-Host Origin-Realm Destination-Realm Auth-Application-Id Service-Context-Id"
    " CC-Request-Type CC-Request-Number Subscription-Id"
    " Event-Timestamp Termination-Cause Requested-Action Refund-Information Service-Information T"
    " User-Name Multiple-Services-Indicator User-Equipment-Info Accounting-Record-Type"
    " Vendor-Specific-Application-Id Multiple-Services-Credit-Control Requested-Service-Unit"
    " Used-Service-Unit Service-Identifier AoC-Request-Type CC-Correlation-Id"
    " Service-Parameter-Info Acct-Multi-Session-Id Acct-Application-Id Proxy-Info Route-Record"
    " User-Equipment-Info-Extension Check-Balance-Result OC-Supported-Features DRMP Load"
    " Auth-Session-State Destination-Host Origin-State-Id"
    " trunk_in trunk_out release_cause msisdn imsi sip_user"
)
class Command(Level, kw_only=True):
    """A command. The last ones are no AVPs and may not come: they are what was read, and is kept.

    What is mandatory can be unset, too: when it is read.
    """

    session_id: _Name | UnsetType = field(name="Session-Id")
    context: str = field(name="Service-Context-Id")
    request_type: Literal[1, 2, 3, 4] | UnsetType = field(name="CC-Request-Type")
    number: _Number | UnsetType = field(name="CC-Request-Number")
    identities: Identities | UnsetType = field(name="Subscription-Id", default=UNSET)
    event_time: Instant | UnsetType = field(name="Event-Timestamp", default=UNSET)
    user: _Name | UnsetType = field(name="User-Name", default=UNSET)
    indicator: _Bare | UnsetType = field(name="Multiple-Services-Indicator", default=UNSET)
    cause: Whole | _Name | UnsetType = field(name="Termination-Cause", default=UNSET)
    action: Literal[0, 1, 2, 3] | UnsetType = field(name="Requested-Action", default=UNSET)
    reverses: _Name | UnsetType = field(name="Refund-Information", default=UNSET)
    information: Information | UnsetType = field(name="Service-Information", default=UNSET)
    services: (
        Service | Annotated[list[Service], Meta(min_length=1, max_length=MOST_SERVICES)] | UnsetType
    ) = field(name="Multiple-Services-Credit-Control", default=UNSET)
    trunk_in: _Nothing | UnsetType = UNSET
    trunk_out: _Nothing | UnsetType = UNSET
    release_cause: _NoCause | UnsetType = UNSET
    msisdn: _Nothing | UnsetType = UNSET
    imsi: _Nothing | UnsetType = UNSET
    sip_user: _Nothing | UnsetType = UNSET


class _Wrapped(Struct, gc=False, forbid_unknown_fields=True):
    command: Command = field(name="CCR")


NO_UNITS: Final = Units()
NO_SERVICE: Final = Service()
NO_STAMPS: Final = Stamps()
NO_CALLS: Final = Calls()
NO_INFORMATION: Final = Information()
_WRAPPING: Final = b'{"CCR"'
_bare: Final = msgspec.json.Decoder(Command).decode
_wrapped: Final = msgspec.json.Decoder(_Wrapped).decode


def decode(body: bytes) -> Command:
    """Read a body; raises one of `NOT_READ`."""
    return _wrapped(body).command if body.startswith(_WRAPPING) else _bare(body)


def convert(event: Extras) -> Command:
    """Make one of plain objects; raises a `msgspec.ValidationError`."""
    return msgspec.convert(unwrapped(event) if len(event) == 1 else event, Command)
