"""The fields and event types of the Elastic Common Schema that endpoint rules use.

A line of a table with a colon is one field: its name, its type where that is not
`keyword`, and what it holds. A line without is several fields of the type in
parentheses, or keywords. Tables that several objects share (a process, its
parent, the target of an access ...) are written once and put under each prefix.

Fields of one product's logs that are not listed, such as rare
`winlog.event_data.*`, come from plugins through `kestrel_schema`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kestrel_framework.schema import EventType, FieldDefinition, FieldType

Table = dict[str, FieldDefinition]


def _table(text: str) -> Table:
    return {field.path: field for line in text.strip().splitlines() for field in _fields(line)}


def _fields(line: str) -> Iterator[FieldDefinition]:
    head, colon, description = line.strip().partition(":")
    if colon:
        name, *kind = head.split()
        yield FieldDefinition(name, FieldType(*kind or ["keyword"]), description.strip())
        return
    kind_text, parenthesis, names = head.rpartition(")")
    kind_of_all = FieldType(kind_text.removeprefix("(") if parenthesis else "keyword")
    for name in names.split():
        yield FieldDefinition(name, kind_of_all)


def _under(*prefixes: str, fields: Table) -> Table:
    paths = ((f"{prefix}.{name}", field) for prefix in prefixes for name, field in fields.items())
    return {path: FieldDefinition(path, field.type, field.description) for path, field in paths}


_CODE_SIGNATURE: Final = _table("""
    exists boolean: Whether there is a signature at all.
    status: What checking it gave, such as `trusted` or `errorExpired`.
    subject_name: Who signed.
    trusted boolean: Whether it leads to a trusted root.
    signing_id: Identifier inside the signature (macOS).
    team_id: Team that signed (macOS).
    flags digest_algorithm
    (boolean) signed valid
    (date) timestamp
""")

_HASH: Final = _table("""
    sha256: SHA-256 of the content, lower-case hexadecimal.
    imphash: Hash of the import table.
    md5 sha1 sha384 sha512 ssdeep tlsh cdhash
""")

_PE: Final = _table("""
    original_file_name: Name the file was built with.
    imphash: Hash of the import table.
    company product description file_version architecture pehash
""")

_ELF: Final = _table("architecture cpu_type header.type header.entrypoint import_hash telfhash")

_IMAGE: Final = (
    _under("code_signature", "Ext.code_signature", fields=_CODE_SIGNATURE)
    | _under("hash", fields=_HASH)
    | _under("pe", fields=_PE)
    | _under("elf", fields=_ELF)
)

_USER: Final = _table("""
    id: User id: a number on Unix, a SID on Windows.
    name: Short or log-in name.
    domain: Directory or machine the name belongs to.
    email full_name hash roles
""")

_GROUP: Final = _table("""
    id: Group id.
    name domain Ext.real.id Ext.real.name
""")

_DEVICE: Final = _table("""
    device.bus_type: How the device that holds the file is attached, such as `Usb`.
    device.product_id device.vendor_id device.serial_number device.volume_device_type
    device.file_system_type device.dos_name
""")

_AGE: Final = _table("""
    relative_file_creation_time double: Seconds since the file was created.
    relative_file_name_modify_time double: Seconds since the file was renamed.
""")

_MODULE: Final = (
    _table("""
        protection_provenance: Module that made the memory executable.
        path name protection protection_provenance_path symbol_info module_path
        (long) allocation_private_bytes private_bytes
    """)
    | _under("hash", fields=_HASH)
    | _under("code_signature", fields=_CODE_SIGNATURE)
)

_THREAD: Final = _table("""
        id long: Thread id.
        capabilities.effective: Capabilities in force, such as `CAP_SYS_ADMIN`.
        capabilities.permitted: Capabilities the thread may take.
        Ext.call_stack object: Frames, the innermost first.
        Ext.call_stack_summary: Modules of the call stack, joined by `|`.
        Ext.call_stack_contains_unbacked boolean: Whether a frame lies in memory without a file.
        name Ext.start_address_module Ext.original_start_address_module
        Ext.call_stack.callsite_leading_bytes Ext.call_stack.callsite_trailing_bytes
        Ext.call_stack.module_path Ext.call_stack.protection
        Ext.call_stack.protection_provenance Ext.call_stack.symbol_info
        (boolean) Ext.hardware_breakpoint_set
        (long) Ext.start_address Ext.call_stack.allocation_private_bytes
        (object) Ext.call_stack_final_user_module
        (object) Ext.call_stack_final_user_module.code_signature
        (object) Ext.call_stack_final_hook_module
    """) | _under(
    "Ext.call_stack_final_user_module", "Ext.call_stack_final_hook_module", fields=_MODULE
)

_API: Final = _table("""
    name: The function called.
    summary: The call in one line, with its main arguments.
    behaviors: What is remarkable about the call, such as `cross-process`.
    metadata.target_address_name: Module or region the call aims at.
    metadata.target_address_path metadata.client_machine metadata.client_user
    parameters.allocation_type parameters.app_name parameters.attribute_list parameters.buffer
    parameters.content_name parameters.desired_access parameters.device
    parameters.distinguished_name parameters.handle_type parameters.hook_module
    parameters.hook_type parameters.namespace parameters.operation parameters.procedure
    parameters.protection parameters.protection_old parameters.query parameters.search_filter
    parameters.usage parameters.usage_page
    (boolean) metadata.client_is_local
    (long) metadata.background_callcount metadata.client_process_id
    (long) metadata.ms_since_last_keyevent metadata.return_value parameters.address
    (long) parameters.desired_access_numeric parameters.io_control_code parameters.size
""")

_PROCESS_IDENTITY: Final = _table("""
    args: The arguments, the program's own name first.
    args_count long: How many arguments there are.
    command_line: The whole command line as one text.
    entity_id: Identity of this run of the program; unlike `pid` never used again.
    executable: Absolute path of the program.
    name: Name of the program's file.
    title: Name the process shows.
    pid long: Process id.
    ppid long: Process id of the parent, from sources that have no parent object.
    start date: When it started.
    end date: When it ended.
    exit_code long: What it returned; absent while it runs.
    uptime long: Seconds it has been running.
    interactive boolean: Whether it has a terminal.
    working_directory: Its current directory.
    env_vars: Environment variables as `NAME=value`.
    entry_meta.type: How the session began, such as `sshd`.
    entry_meta.source.ip ip: Where the session came from.
    same_as_process boolean: Whether this leader is the process itself.
    tty object: The controlling terminal; absent without one.
    (long) pgid vpid tty.char_device.major tty.char_device.minor tty.columns tty.rows
""")

_ACCOUNT: Final = _under("user", "real_user", "saved_user", fields=_USER) | _under(
    "group", "real_group", "saved_group", "supplemental_groups", fields=_GROUP
)

_PROCESS_DETAILS: Final = _table("""
    access.granted: Rights an access to another process asked for, hexadecimal.
    access.call_trace: Modules on the way to that access, joined by `|`.
    Ext.ancestry: Entity ids of the ancestors, the parent first.
    Ext.memfd.name: Name of the memory file the program was run from.
    Ext.effective_parent.entity_id: Who really asked for the process.
    Ext.token.integrity_level_name: Such as `low`, `medium`, `high`, `system`.
    previous.args previous.executable io.text
    Ext.architecture Ext.authentication_id Ext.defense_evasions Ext.desktop_name Ext.dll.name
    Ext.dll.path Ext.effective_parent.executable Ext.effective_parent.name
    Ext.load_module.taint_flags Ext.memfd.flags Ext.mitigation_policies Ext.protection
    Ext.ptrace.request Ext.real.entity_id Ext.session Ext.session_info.authentication_package
    Ext.session_info.client_address Ext.session_info.logon_type Ext.session_info.user_flags
    Ext.token.domain Ext.token.elevation_level Ext.token.elevation_type
    Ext.token.impersonation_level Ext.token.privileges.name Ext.token.security_attributes
    Ext.token.sid Ext.token.type Ext.token.user Ext.user
    (boolean) Ext.created_suspended Ext.token.elevation Ext.token.is_appcontainer
    (double) Ext.session_info.relative_logon_time Ext.session_info.relative_password_age
    (long) Ext.effective_parent.pid Ext.ptrace.child_pid Ext.real.pid Ext.session_info.id
""")

_PROCESS: Final = (
    _PROCESS_IDENTITY
    | _PROCESS_DETAILS
    | _ACCOUNT
    | _IMAGE
    | _under("Ext", fields=_DEVICE | _AGE)
    | _under("thread", fields=_THREAD)
)

_ALL_PROCESSES: Final = (
    _under("process", "process.parent", "Target.process", fields=_PROCESS)
    | _under(
        "process.group_leader",
        "process.session_leader",
        "process.entry_leader",
        "process.entry_leader.parent",
        "process.parent.group_leader",
        "process.responsible",
        "Effective_process",
        fields=_PROCESS_IDENTITY | _ACCOUNT,
    )
    | _under("process.Ext.api", fields=_API)
)

_FILE: Final = (
    _table("""
        path: Absolute path, with the name.
        name: Last part of the path.
        directory: Path of the folder.
        extension: What follows the last dot of the name.
        type: `file`, `dir` or `symlink`.
        target_path: Where a symbolic link points.
        size long: Length in bytes.
        mode: Permissions, octal.
        uid: User id of the owner.
        gid: Group id of the owner.
        origin_url: Where a download came from.
        Ext.entropy double: Bits of information per byte, 0 to 8.
        Ext.header_bytes: First bytes, hexadecimal.
        Ext.original.path: Path before a rename.
        Ext.windows.zone_identifier long: Zone a file was downloaded from.
        owner group inode device drive_letter attributes mime_type origin_referrer_url
        Ext.header_data Ext.original.name Ext.original.extension Ext.original.mode
        Ext.original.owner Ext.original.uid
        (date) accessed created ctime mtime
        (long) Ext.monotonic_id
    """)
    | _IMAGE
    | _under("Ext", fields=_DEVICE)
)

_DLL: Final = (
    _table("""
        name: File name of the library.
        path: Absolute path of the library.
        Ext.load_index long: How many times this process loaded it.
        Ext.defense_evasions
        (long) Ext.mapped_address Ext.mapped_size Ext.size
    """)
    | _IMAGE
    | _under("Ext", fields=_DEVICE | _AGE)
)

_ENDPOINT: Final = _table("""
        ip ip: Internet address.
        address: Address or name as the source gave it.
        port long: Port number.
        domain: Name of the host.
        bytes long: Bytes sent from here.
        packets long: Packets sent from here.
        registered_domain subdomain top_level_domain mac as.organization.name
        geo.city_name geo.continent_name geo.country_iso_code geo.country_name geo.region_name
        (ip) nat.ip
        (long) nat.port as.number
    """) | _under("user", fields=_USER)

_HOST: Final = _table("""
        id: Identity of the machine.
        ip ip: All addresses of the machine.
        boot.id: Identity of this run of the operating system.
        os.type: `linux`, `macos`, `windows` ...
        name hostname domain type architecture mac pid_ns_ino Ext.variant os.family os.full
        os.kernel os.name os.platform os.Ext.variant
        (long) uptime
        (version) os.version
    """) | _under("user", fields=_USER)

_USERS: Final = _under("user", "user.effective", "user.target", "user.saved", fields=_USER)
_GROUPS: Final = _under("group", "user.group", "user.Ext.real", fields=_GROUP)

_TABLES: Final[dict[str, Table]] = {
    "agent": _table("""
        id: Identity of the agent that reported.
        ephemeral_id name type
        (version) version
    """),
    "auditd": _table("""
        message_type result session
        summary.how summary.object.primary summary.object.secondary summary.object.type
        summary.actor.primary summary.actor.secondary
    """),
    "auditd.data": _table("""
        a0 a1 a2 a3 acct addr arch cmd exit family grantors hostname items op per proctitle
        reason socket.addr socket.family socket.path socket.port syscall terminal tty uid
    """),
    "cloud": _table("""
        provider: `aws`, `azure`, `gcp` ...
        region availability_zone account.id account.name instance.id instance.name machine.type
        project.id service.name
    """),
    "container": _table("""
        id: Identity of the container, as its runtime writes it.
        name runtime image.name image.tag image.hash.all
        (boolean) security_context.privileged
    """),
    "data_stream": _table("dataset namespace type"),
    "dns": _table("""
        type: `query` or `answer`.
        resolved_ip ip: Addresses in the answers.
        question.name: Name asked for.
        question.type: Such as `A` or `TXT`.
        id op_code header_flags response_code question.class question.registered_domain
        question.subdomain question.top_level_domain answers.name answers.data answers.type
        answers.class
        (long) answers.ttl Ext.options Ext.status
        (object) answers
    """),
    "event": _table("""
        kind: `event`, `alert`, `metric`, `state` ...
        category: What it is about; the event types rules name before `where`.
        type: What happened, in general: `start`, `end`, `creation`, `change` ...
        action: What happened, in the source's own word.
        outcome: `success`, `failure` or `unknown`.
        code: Number of the event in its provider.
        provider: Who reported it.
        id: The source's own identifier.
        sequence long: Position in the source.
        created date: When it was first read.
        duration long: Nanoseconds.
        module dataset reason reference original hash timezone url agent_id_status
        (date) ingested start end
        (double) risk_score
        (long) severity
    """),
    "http": _table("""
        version request.method request.referrer request.mime_type request.body.content
        response.mime_type response.body.content
        (long) request.bytes request.body.bytes response.status_code response.bytes
        (long) response.body.bytes
    """),
    "kubernetes": _table("namespace node.name pod.name pod.uid container.name container.image"),
    "kubernetes.audit": _table("""
        level stage verb requestURI objectRef.name objectRef.namespace objectRef.resource
        objectRef.subresource user.username user.groups sourceIPs responseStatus.reason
        annotations.authorization_k8s_io/decision annotations.authorization_k8s_io/reason
    """),
    "network": _table("""
        direction: `ingress`, `egress`, `inbound`, `outbound`, `internal` ...
        transport: `tcp`, `udp`, `icmp` ...
        protocol: Application protocol, such as `dns` or `http`.
        type: `ipv4` or `ipv6`.
        community_id: Hash that both directions of a flow share.
        iana_number: Protocol number.
        application name vlan.id vlan.name
        (ip) forwarded_ip
        (long) bytes packets
    """),
    "orchestrator": _table("""
        type cluster.id cluster.name namespace resource.id resource.name resource.type
        (ip) resource.ip
    """),
    "package": _table("""
        name path type
        (version) version
    """),
    "Persistence": _table("""
        name args executable path type
        (boolean) keepalive runatload
    """),
    "powershell": _table("""
        file.script_block_text: Source of the block that ran.
        command.name command.path command.type command.value engine.version file.script_block_id
        pipeline_id process.executable_version runspace_id
        (long) sequence total
        (object) command.invocation_details
    """),
    "registry": _table("""
        path: Hive, key and value name, joined by backslashes.
        hive: Such as `HKLM`.
        key: Key below the hive.
        value: Name of the value.
        data.strings: Content that is text, one entry a string.
        data.bytes: Content as Base64.
        data.type: Such as `REG_SZ`.
        Ext.previous.data.strings Ext.previous.data.type
    """),
    "related": _table("""
        user hosts hash
        (ip) ip
    """),
    "url": _table("""
        full: The whole address.
        original: The address as it was seen.
        scheme domain registered_domain subdomain top_level_domain path extension query fragment
        username password
        (long) port
    """),
    "user_agent": _table("""
        original: The program as the client named it.
        name version device.name
    """),
    "volume": _table("bus_type device_name mount_name"),
    "winlog": _table("""
        channel: Log the event was written to.
        event_id: Number of the event.
        logon.type: Such as `Interactive`, `Network` or `RemoteInteractive`.
        provider_name computer_name computerObject.domain computerObject.name record_id task
        opcode keywords activity_id logon.id logon.failure.reason logon.failure.status
        logon.failure.sub_status user.name user.domain user.identifier user.type
        (long) process.pid process.thread.id
    """),
    "winlog.event_data": _table("""
        AccessGranted AccessList AccessMask AccessMaskDescription AccessReason AccountName
        AllowedToDelegateTo AttributeLDAPDisplayName AttributeSyntaxOID AttributeValue
        AuditPolicyChanges AuthenticationPackageName CallTrace CallerProcessId CallerProcessName
        CategoryId ClientProcessId CommandLine Company Configuration Consumer CreationUtcTime
        CurrentDirectory Description Destination DestinationHostname DestinationIp
        DestinationPort Details Device DisplayName DnsHostName ElevatedToken
        EnabledPrivilegeList EventType FailureReason FileVersion Filter GrantedAccess
        GroupDomain GroupSid HandleId Hashes Image ImageLoaded ImagePath ImpersonationLevel
        Initiated IntegrityLevel IpAddress IpPort KeyLength LogonGuid LogonId LogonProcessName
        LogonType MemberName MemberSid Message NewProcessId NewProcessName NewSd
        NewTargetUserName NewThreadId NewUACList NewUacValue ObjectClass ObjectDN ObjectGUID
        ObjectName ObjectServer ObjectType OldSd OldTargetUserName OldUacValue Operation
        OperationType OriginalFileName ParentCommandLine ParentImage ParentProcessGuid
        ParentProcessId ParentProcessName Path PipeName PreAuthType PreviousCreationUtcTime
        PrivilegeList ProcessGuid ProcessId ProcessName Product Properties Protocol Query
        QueryName QueryResults QueryStatus RelativeTargetName RpcCallClientLocality RuleName
        ScriptBlockText Service ServiceAccount ServiceFileName ServiceName ServiceSid
        ServiceStartType ServiceType ShareLocalPath ShareName Signature SignatureStatus Signed
        SourceHostname SourceImage SourceIp SourcePort SourceProcessGUID SourceProcessId
        SourceThreadId StartAddress StartFunction StartModule StartType Status SubStatus
        SubjectDomainName SubjectLogonId SubjectUserName SubjectUserSid TargetDomainName
        TargetFilename TargetImage TargetLinkedLogonId TargetLogonId TargetName TargetObject
        TargetOutboundUserName TargetProcessGUID TargetProcessId TargetServerName TargetSid
        TargetUserName TargetUserSid TaskContent TaskContentNew TaskName TicketEncryptionType
        TicketOptions TokenElevationType TransmittedServices Type User UserAccountControl
        UtcTime Workstation WorkstationName
    """),
}
"""What only one object has, by the name of the object."""

_MARKS: Final = _table("@timestamp date: When it happened.\nmessage tags ecs.version")


def _all() -> Iterator[FieldDefinition]:
    for fields in (_MARKS, _ALL_PROCESSES, _USERS, _GROUPS):
        yield from fields.values()
    yield from _under("file", fields=_FILE).values()
    yield from _under("dll", fields=_DLL).values()
    yield from _under("host", fields=_HOST).values()
    yield from _under("source", "destination", "client", "server", fields=_ENDPOINT).values()
    for name, fields in _TABLES.items():
        yield from _under(name, fields=fields).values()


FIELDS: Final[tuple[FieldDefinition, ...]] = tuple(_all())
"""All fields, each path once."""


def _event_type(line: str) -> EventType:
    head, _, description = line.strip().partition(": ")
    name, *parents = head.split(" < ")
    return EventType(name, tuple(parents), description)


_EVENT_TYPES: Final = """
    api: A call of a function of the operating system.
    authentication: Somebody logs in or out, or tries to.
    configuration: A setting is read or changed.
    credential_access < api: A call that reads secrets.
    database: A query or a change of a database.
    dns < network: A name is looked up.
    driver: A kernel module is loaded.
    email: A message is sent or received.
    file: A file is created, read, changed, renamed or deleted.
    host: Something about the whole machine.
    iam: Accounts, groups and rights change.
    intrusion_detection: Another system raised an alarm.
    library: A shared library is loaded into a process.
    malware: Malware was found.
    network: A connection, or data that passes it.
    package: Software is installed or removed.
    persistence: Something arranges to be started again.
    process: A process starts, ends, or does something to another.
    registry: A key or value of the registry is read or changed.
    session: A session begins or ends.
    threat: Knowledge about a threat.
    vulnerability: A weakness was found.
    web: A request to a web server.
"""

EVENT_TYPES: Final = tuple(map(_event_type, _EVENT_TYPES.strip().splitlines()))
"""All event types; a rule for a parent also sees the events of its children."""
