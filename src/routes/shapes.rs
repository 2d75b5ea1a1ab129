//! What every route takes and answers, in the notation of `shape.rs`. Every answer that any test of the server gets
//! is held against it.

/// What a route takes and answers.
pub struct Shape {
    /// The route's name.
    pub route: &'static str,
    /// The group it is listed in.
    pub tag: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Query parameters: name, shape, meaning.
    pub query: &'static [(&'static str, &'static str, &'static str)],
    /// The body; empty if none is read. `form` in front: the fields of an HTML form, otherwise JSON.
    pub request: &'static str,
    /// Answers to a call that went well; `text` for plain text, empty for no body.
    pub answers: &'static [(u16, &'static str)],
}

const fn shape(
    route: &'static str,
    tag: &'static str,
    summary: &'static str,
    query: &'static [(&'static str, &'static str, &'static str)],
    request: &'static str,
    answers: &'static [(u16, &'static str)],
) -> Shape {
    Shape { route, tag, summary, query, request, answers }
}

/// Shapes that have a name. Sources: sdk/go/common/apitype.
#[rustfmt::skip]
pub const COMPONENTS: &[(&str, &str)] = &[
    ("Error", "{code: int, message: string}"),
    ("Tags", "{*: string}"),
    ("Operation", "{kind: string, author: string, started: int}"),
    ("Stack", "{id: string, orgName: string, projectName: string, stackName: string, activeUpdate: string, version: int, tags: Tags, currentOperation?: Operation}"),
    ("StackSummary", "{id: string, orgName: string, projectName: string, stackName: string, lastUpdate?: int, resourceCount?: int}"),
    ("Capability", "{capability: string, version?: int, configuration?: {*: any}}"),
    ("Organization", "{githubLogin: string, name: string, avatarUrl: string}"),
    ("Deployment", "{version: int, features?: string[], deployment: {*: any}|null, *: any}"),
    ("ConfigValue", "{string?: string, object?: any, secret?: boolean, *: any}"),
    ("Program", "{name?: string|null, runtime?: string|null, main?: string|null, description?: string|null, options?: {*: any}|null, config?: {*: ConfigValue}|null, metadata?: {message?: string|null, environment?: {*: string}|null, *: any}|null, *: any}"),
    ("UpdateInfo", "{kind: string, startTime: int, message: string, environment: {*: string}, config: {*: ConfigValue}, result: \"not-started\"|\"in-progress\"|\"succeeded\"|\"failed\", endTime: int, version: int, resourceChanges: {*: int}, resourceCount: int, updateID: string, requestedBy: {name: string, githubLogin: string}, findings?: string, plaintextValues?: {count: int, values: {urn: string, path: string, why: string}[]}}"),
    ("CreatedUpdate", "{updateID: string, requiredPolicies: any[], messages: any[]}"),
    ("EngineEvent", "{sequence?: int, timestamp?: int, *: any}"),
    ("JournalEntry", "{version?: int, kind: int, sequenceID: int, operationID: int, *: any}"),
    ("UserInfo", "{name: string, githubLogin: string, avatarUrl: string}"),
    ("Member", "{role: string, user: UserInfo, created: time, knownToPulumi: boolean, virtualAdmin: boolean, fgaRole: {id: string, name: string, modifiedAt: string}}"),
    ("Role", "\"read\"|\"decrypt\"|\"update\"|\"admin\"|\"auditor\""),
    ("Token", "{id: string, name: string, description: string, owner: string, isMachine: boolean, isExchanged: boolean, created: time, createdBy: string, expires: int, isExpired: boolean, lastUsed: int, lastUsedAddress: string|null, admin: boolean, limitedTo: Role|null, stacks: string[]|null}"),
    ("NewToken", "{name?: string, description?: string, expires?: int, admin?: boolean, role?: string|null, stacks?: string[]|null}"),
    ("MadeToken", "{id: string, name: string, tokenValue: string, expires: int}"),
    ("AuditEvent", "{timestamp: int, event: string, description: string, user: UserInfo, sourceIP: string, tokenID: string, tokenName: string, authFailure: boolean}"),
    ("AuditRecord", "{sequence: int, timestamp: int, user: string, token: string, tokenID: string, address: string, action: string, organization: string, target: string, result: string, detail: string, requestID: string, hash: string, seal: string}"),
    ("Lock", "{orgName: string, projectName: string, stackName: string, updateID: string, kind: string, version: int, holder: string, host: string, since: time, lastHeartbeat: time, leaseExpires: time, isExpired: boolean}"),
    ("Work", "{kind: string, part: string, done: int, all: int}"),
    ("Backup", "{status: \"running\"|\"done\"|\"failed\"|\"unknown\", progress?: {part: string, done: int, all: int}, name: string, place: string, bytes: int, madeAt: time|null, keyFingerprint: string, verifiedAt: time|null, problem: string|null, *: any}"),
    ("Version", "{version: int, updateID: string, kind: string, status: string, ended: time|null, requestedBy: string, isKept: boolean, resourceCount: int|null, stateBytes: int|null}"),
];

/// What every update's creation takes and answers.
const CREATE: &[(u16, &str)] = &[(200, "CreatedUpdate")];
const DONE: &[(u16, &str)] = &[(200, "{}")];
const PAGES: &[(&str, &str, &str)] =
    &[("page", "int", "From 1 on"), ("pageSize", "int", "Entries on a page")];

/// Tokens of somebody.
const TOKENS: &[(u16, &str)] = &[(200, "{tokens: Token[]}")];
const MADE_TOKEN: &[(u16, &str)] = &[(200, "MadeToken")];
const NOTHING: &[(u16, &str)] = &[(204, "")];
const AUDIT_FILTER: &[(&str, &str, &str)] = &[
    ("eventType", "string", "Only this action"),
    ("user", "string", "Only by this user"),
    ("startTime", "int", "Only before this time"),
    ("continuationToken", "string", "Where the page before ended"),
];
const AUDIT_RECORD_FILTER: &[(&str, &str, &str)] = &[
    ("action", "string", "Only this, as stack.create, or all of stack"),
    ("user", "string", "Only by this user"),
    ("stack", "string", "Only on this stack"),
    ("organization", "string", "Only of this organization"),
    ("since", "int", "Only from this time on"),
    ("until", "int", "Only before this time"),
    ("after", "int", "Only after this record: the next page"),
];

/// One row for each route.
#[rustfmt::skip]
pub const SHAPES: &[Shape] = &[
    shape("getRoot", "Server", "What answers here", &[], "", &[(200, "{name: string, version: string, message: string}")]),
    shape("getHealth", "Server", "Whether the process answers", &[], "", &[(200, "{status: \"ok\"}")]),
    shape("getReadiness", "Server", "Whether it can serve: database, writer, disk", &[], "", &[(200, "{status: \"ready\"}")]),
    shape("getMetrics", "Server", "Figures for monitors, in the text form of Prometheus", &[], "", &[(200, "text")]),
    shape("getOpenAPI", "Server", "This document", &[], "", &[(200, "{openapi: string, *: any}")]),
    shape("getOpenAPISpec", "Server", "This document, where the CLI looks for it", &[], "", &[(200, "{openapi: string, *: any}")]),

    shape("adminGetStatus", "Administration", "The server and its data, in figures", &[], "",
        &[(200, "{version: string, schemaVersion: int, sqliteVersion: string, now: time, newestUnix: int, stacks: int, versions: int, leases: int, leasesExpired: int, previews: int, databaseBytes: int, walBytes: int, diskFreeBytes: int|null}")]),
    shape("adminListLocks", "Administration", "Every stack that an update holds", &[], "", &[(200, "{locks: Lock[]}")]),
    shape("adminGetStack", "Administration", "What a stack takes", &[], "",
        &[(200, "{id: string, orgName: string, projectName: string, stackName: string, version: int, created: time, updated: time|null, versionsKept: int, resourceCount: int|null, stateBytes: int|null}")]),
    shape("adminListVersions", "Administration", "The versions of a stack, newest first", &[("before", "int", "Only versions below this one: the next page")], "",
        &[(200, "{versions: Version[], before: int|null}")]),
    shape("createBackup", "Administration", "Begins a backup, which is restored at once for a check; getBackup tells how it goes, at the path in Location. While one runs, it is the answer, and no other is begun", &[], "{to?: string|null}|null",
        &[(202, "{status: \"running\", isNew: boolean, location: string, name: string, place: string, *: any}")]),
    shape("getBackup", "Administration", "One backup: how far it is (bytes of the database in this part, or things looked at; 0 if nobody knows), or how it ended", &[], "",
        &[(200, "Backup")]),
    shape("getProgress", "Administration", "What takes long and is under way: backups, verifications", &[], "", &[(200, "{works: Work[]}")]),
    shape("listBackups", "Administration", "The backups, newest first, and how they stand", &[], "",
        &[(200, "{backups: Backup[], standing: {lastVerifiedAt: time|null, lastAttemptAt: time|null, lastProblem: string|null, isOverdue: boolean}}")]),
    shape("verifyDatabase", "Administration", "Opens and compares everything that is stored", &[], "",
        &[(200, "{isSound: boolean, checked: {*: int}, problems: string[]}")]),
    shape("showKeys", "Administration", "The master key's fingerprint, and the keys under it", &[], "",
        &[(200, "{fingerprint: string, source: string, renewedAfterSeals: int, stacks: {stack: string, generations: any, seals: int}[]}")]),
    shape("rotateMasterKey", "Administration", "Puts all keys under another master key", &[], "{newKey?: string|null}|null",
        &[(200, "{from: string, to: string, stacks: int, oldKeyKeptAs: string|null, source: string}")]),
    shape("renewStackKey", "Administration", "Gives a stack a new key for what is written from now on", &[], "", &[(200, "{stack: string}")]),

    shape("getCapabilities", "Server", "What this server can do beyond the oldest protocol", &[], "", &[(200, "{capabilities: Capability[]}")]),
    shape("getCLIVersionInfo", "Server", "Which CLIs are told that they are old: none", &[], "", &[(200, "{latestVersion: string, oldestWithoutWarning: string}")]),
    shape("getCurrentUser", "Users", "Who calls", &[], "",
        &[(200, "{id: string, githubLogin: string, name: string, email: string, avatarUrl: string, organizations: Organization[], identities: string[], siteAdmin: boolean, tokenInfo?: {name: string, organization?: string}}")]),
    shape("getDefaultOrganization", "Users", "Where unqualified stack names go", &[], "", &[(200, "{gitHubLogin: string, messages: any[]}")]),

    shape("exchangeToken", "Users", "A token of a trusted issuer for one of an organization (RFC 8693; the body is a form)", &[],
        "form {grant_type: \"urn:ietf:params:oauth:grant-type:token-exchange\", subject_token_type: \"urn:ietf:params:oauth:token-type:id_token\", requested_token_type: \"urn:pulumi:token-type:access_token:organization\", audience: string, subject_token: string, expiration?: string}",
        &[(200, "{access_token: string, issued_token_type: string, token_type: string, expires_in: int, scope: string}"),
          (400, "{error: string, error_description: string, code: int, message: string}")]),
    shape("listPersonalTokens", "Users", "The caller's tokens", &[], "", TOKENS),
    shape("createPersonalToken", "Users", "Makes a token for the caller; it is shown this once", &[], "NewToken", MADE_TOKEN),
    shape("deletePersonalToken", "Users", "Ends a token of the caller", &[], "", NOTHING),

    shape("listOrganizationMembers", "Organizations", "Who was granted something", &[("type", "string", "Not looked at")], "", &[(200, "{members: Member[]}")]),
    shape("addOrganizationMember", "Organizations", "Gives a user one role in place of all others", &[], "{role?: string|null, fgaRoleId?: string|null}", NOTHING),
    shape("updateOrganizationMember", "Organizations", "Gives a user one role in place of all others", &[], "{role?: string|null, fgaRoleId?: string|null}", NOTHING),
    shape("deleteOrganizationMember", "Organizations", "Takes back all that a user was granted", &[], "", NOTHING),
    shape("listGrants", "Organizations", "Every grant", &[], "", &[(200, "{grants: {user: string, role: Role, pattern: string, created: time}[]}")]),
    shape("addGrant", "Organizations", "Gives a user a role on some stacks", &[], "{user: string, role: Role, pattern: string}", NOTHING),
    shape("removeGrant", "Organizations", "Takes a grant back", &[("user", "string", "Whose"), ("role", "string", "Which role"), ("pattern", "string", "Which stacks")], "", NOTHING),
    shape("listOrgTokens", "Organizations", "Machine tokens", &[], "", TOKENS),
    shape("createOrgToken", "Organizations", "Makes a machine token; it is shown this once", &[], "NewToken", MADE_TOKEN),
    shape("deleteOrgToken", "Organizations", "Ends a machine token", &[], "", NOTHING),
    shape("listAuditLogs", "Organizations", "Who did what, newest first", AUDIT_FILTER, "", &[(200, "{auditLogEvents: AuditEvent[], continuationToken: string}")]),
    shape("exportAuditLogs", "Organizations", "Who did what, as CSV or CEF", AUDIT_FILTER, "", &[(200, "text")]),

    shape("listUsers", "Administration", "Users and what they were granted", &[], "",
        &[(200, "{users: {name: string, isAdmin: boolean, isDisabled: boolean, created: time, grants: {role: Role, pattern: string}[]}[]}")]),
    shape("addUser", "Administration", "Adds a user; the first token is shown this once", &[], "{name: string, isAdmin?: boolean, organizations?: string[], role?: string|null}",
        &[(200, "{name: string, isAdmin: boolean, tokenID: string, tokenValue: string}")]),
    shape("updateUser", "Administration", "Locks a user out, or lets the user in again", &[], "{isDisabled: boolean}", NOTHING),
    shape("removeUser", "Administration", "Removes a user with all tokens and grants", &[], "", NOTHING),
    shape("listOrganizations", "Administration", "All organizations but personal ones", &[], "", &[(200, "{organizations: {name: string, created: time}[]}")]),
    shape("addOrganization", "Administration", "Adds an organization", &[], "{name: string}", &[(200, "{name: string}")]),
    shape("listTokens", "Administration", "All tokens", &[], "", TOKENS),
    shape("createToken", "Administration", "Makes a token for a user; it is shown this once", &[], "NewToken", MADE_TOKEN),
    shape("deleteToken", "Administration", "Ends a token", &[], "", NOTHING),
    shape("listIssuers", "Administration", "Issuers whose tokens are exchanged", &[], "",
        &[(200, "{issuers: {id: string, url: string, organization: string, audience: string, claims: {*: string}, role: Role, stacks: string[], lifetimeSecs: int, keySetUrl: string|null}[]}")]),
    shape("addIssuer", "Administration", "Exchanges tokens of this issuer from now on", &[],
        "{url: string, organization: string, audience?: string|null, claims: {*: string}, role: Role, stacks?: string[]|null, keySet?: {keys: any[], *: any}|null, keySetUrl?: string|null, discover?: boolean, lifetimeSecs?: int|null}", &[(200, "{id: string, keySetUrl: string|null}")]),
    shape("removeIssuer", "Administration", "Exchanges tokens of this issuer no more", &[], "", NOTHING),
    shape("getAuditRecords", "Administration", "Who did what, oldest first", AUDIT_RECORD_FILTER, "", &[(200, "{records: AuditRecord[], next: int|null}")]),
    shape("exportAuditRecords", "Administration", "Who did what, as CSV or CEF", AUDIT_RECORD_FILTER, "", &[(200, "text")]),
    shape("getAuditHead", "Administration", "Number and hash of the last record", &[], "", &[(200, "{sequence: int, hash: string}")]),
    shape("verifyAuditRecords", "Administration", "Whether no record was changed, lost or moved; without a body those of this server", &[("head", "string", "NUMBER:HASH of a record that must be there")], "any",
        &[(200, "{isWhole: boolean, records: int, problem: string|null, head: {sequence: int, hash: string}|null, first: int|null, isFromStart: boolean, vouchedTo: int|null}")]),
    shape("listUserStacks", "Stacks", "Stacks that fit all filters, in the order of their names",
        &[("organization", "string", "Only of this one"), ("project", "string", "Only of this one"), ("tagName", "string", "Only with this tag"),
          ("tagValue", "string", "Only with this value of that tag"), ("continuationToken", "string", "From the page before")], "",
        &[(200, "{stacks: StackSummary[], continuationToken: string|null}")]),
    shape("listPackages", "Server", "Packages of a private registry: none", &[], "", &[(200, "{packages: any[]}")]),

    shape("projectExists", "Stacks", "Whether a project has a stack", &[], "", &[(204, ""), (404, "")]),
    shape("createStack", "Stacks", "Makes a stack", &[], "{stackName: string, tags?: Tags|null, state?: Deployment|null, config?: any, *: any}", &[(200, "{messages: any[]}")]),
    shape("getStack", "Stacks", "A stack, with the update that runs on it", &[], "", &[(200, "Stack")]),
    shape("deleteStack", "Stacks", "Deletes a stack with its history", &[("force", "boolean", "Also with resources in it")], "", &[(204, "")]),
    shape("renameStack", "Stacks", "Gives a stack another name", &[], "{newName?: string, newProject?: string, *: any}", &[(204, "")]),
    shape("updateStackTags", "Stacks", "Replaces all tags", &[], "Tags|null", &[(204, "")]),
    shape("updateStackConfig", "Stacks", "Refused: there are no environments here", &[], "", &[]),

    shape("exportStack", "State", "The stack's deployment now", &[], "", &[(200, "Deployment")]),
    shape("exportStackVersion", "State", "The deployment at the end of an update", &[], "", &[(200, "Deployment")]),
    shape("importStack", "State", "Replaces the deployment", &[], "Deployment", &[(200, "{updateId: string}")]),

    shape("getStackUpdates", "History", "Updates, newest first", PAGES, "", &[(200, "{updates: UpdateInfo[]}")]),
    shape("getLatestUpdate", "History", "The latest update", &[], "", &[(200, "{info: UpdateInfo, updateID: string}")]),
    shape("getLatestPreviews", "History", "Ids of previews", &[("page", "int", "From 1 on"), ("pageSize", "int", "Entries on a page"), ("asc", "boolean", "Oldest first")], "", &[(200, "{updates: {updateID: string}[]}")]),
    shape("getUpdateByVersion", "History", "The update of that number", &[], "", &[(200, "{info: UpdateInfo, updateID: string}")]),

    shape("encryptValue", "Secrets", "Seals a value with the stack's key", &[], "{plaintext: base64}", &[(200, "{ciphertext: base64}")]),
    shape("decryptValue", "Secrets", "Opens a value", &[], "{ciphertext: base64}", &[(200, "{plaintext: base64}")]),
    shape("batchEncryptValue", "Secrets", "Seals values", &[], "{plaintexts?: base64[]|null}", &[(200, "{ciphertexts: base64[]}")]),
    shape("batchDecryptValue", "Secrets", "Opens values", &[], "{ciphertexts?: base64[]|null}", &[(200, "{plaintexts: {*: base64}}")]),
    shape("logDecryption", "Secrets", "Tells that the CLI showed a secret", &[], "{secretName?: string, commandName?: string, *: any}", &[(200, "{}"), (204, "")]),
    shape("logBatchDecryption", "Secrets", "Tells that a command showed secrets", &[], "{secretName?: string, commandName?: string, *: any}", &[(200, "{}"), (204, "")]),

    shape("createPreview", "Updates", "Creates a preview", &[], "Program", CREATE),
    shape("createUpdate", "Updates", "Creates an update", &[], "Program", CREATE),
    shape("createRefresh", "Updates", "Creates a refresh", &[], "Program", CREATE),
    shape("createDestroy", "Updates", "Creates a destroy", &[], "Program", CREATE),
    shape("getUpdateStatus", "Updates", "Where in its life an update is", &[("continuationToken", "string", "Has no effect")], "", &[(200, "{status: string, events: any[], continuationToken: string|null}")]),
    shape("startUpdate", "Updates", "Starts an update: it holds the stack, and gets its lease", &[], "{tags?: Tags|null, journalVersion?: int, *: any}|null", &[(200, "{version: int, token: string, tokenExpiration: int, journalVersion: int}")]),
    shape("cancelUpdate", "Updates", "Ends an update of somebody else", &[], "", DONE),
    shape("getUpdateEvents", "Updates", "The events of an update", &[("continuationToken", "string", "From the page before"), ("urn", "string", "Only about this resource")], "", &[(200, "{events: EngineEvent[], continuationToken: string|null}")]),

    shape("renewLease", "Updates", "Extends the lease", &[], "{duration: int, token?: string}", &[(200, "{token: string, tokenExpiration: int}")]),
    shape("completeUpdate", "Updates", "Ends the update", &[], "{status: \"succeeded\"|\"failed\"|\"cancelled\"}", DONE),
    shape("patchCheckpoint", "Updates", "Saves the whole state so far", &[], "{isInvalid?: boolean, version: int, features?: any, deployment?: any}", &[(200, "{}"), (204, "")]),
    shape("patchCheckpointVerbatim", "Updates", "Saves the whole state so far, as a text", &[], "{version?: int, untypedDeployment: any, sequenceNumber: int}", &[(200, "{}"), (204, "")]),
    shape("patchCheckpointDelta", "Updates", "Saves the state so far as a difference", &[], "{version?: int, checkpointHash: string, sequenceNumber: int, deploymentDelta: any}", &[(200, "{}"), (204, "")]),
    shape("appendJournalEntries", "Updates", "Appends to the journal", &[], "{entries?: JournalEntry[]|null}", &[(200, "{}"), (204, "")]),
    shape("postEngineEventsBatch", "Updates", "Stores engine events", &[], "{events: EngineEvent[]}", &[(200, "{}"), (204, "")]),
    shape("postEngineEvent", "Updates", "Stores an engine event", &[], "EngineEvent", &[(200, "{}"), (204, "")]),
];
