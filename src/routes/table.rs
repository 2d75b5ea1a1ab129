//! Every endpoint, in one table: dispatch, access, body limits and log lines come from it.

use super::{metrics, openapi};
use crate::api::{
    account, admin, audit, capability, checkpoint, deployment, event, health, history, issuer, journal,
    member, oauth, secret, stack, token, update, user,
};
use crate::app::App;
use crate::call::Call;
use crate::domain::access::Permission;
use crate::error::Error;
use crate::http::{Method, Response};
use crate::limits::{
    BODY_BYTES_CONFIG, BODY_BYTES_DEPLOYMENT, BODY_BYTES_EVENTS, BODY_BYTES_JOURNAL, BODY_BYTES_SECRETS,
    BODY_BYTES_SMALL,
};
use crate::ops::{backup, key, verify};

/// Who may call a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody.
    Public,
    /// The holder of an access token; what a list shows is for the caller's eyes.
    User,
    /// As `User`, but with no machine token and no token that is limited: for tokens of one's own.
    Own,
    /// Who may do this on the stack in the path.
    Stack(Permission),
    /// Who may do this on some stack of the project in the path; the handler asks again, once it knows its name.
    Project(Permission),
    /// Who may do this on the whole organization in the path.
    Org(Permission),
    /// Who may do this on every organization.
    Everywhere(Permission),
    /// An administrator of the server.
    Server,
    /// Who may run the update in the path: a preview needs to read secrets, all others need to change resources.
    Run,
    /// The CLI that holds the lease of the update in the path.
    Lease,
}

/// Answers a call.
pub type Handler = fn(&App, &mut Call) -> Result<Response, Error>;

/// An endpoint.
pub struct Route {
    /// The vendor's name for it, where there is one.
    pub name: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Path; `{…}` stands for one segment.
    pub pattern: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Ceiling of its body, inflated.
    pub body_bytes_max: usize,
    /// What answers it.
    pub handler: Handler,
}

impl Route {
    /// Whether it is one that monitors ask, and that the address for them answers without a token.
    pub fn is_for_monitors(&self) -> bool {
        matches!(self.pattern, "/healthz" | "/readyz" | "/metrics")
    }

    /// The stack that the path names, if it names one.
    pub fn stack_of(&self, parameters: &[String]) -> Option<String> {
        let [org, project, stack, ..] = parameters else { return None };
        self.pattern
            .contains("{orgName}/{projectName}/{stackName}")
            .then(|| format!("{org}/{project}/{stack}"))
    }
}

const fn route(
    name: &'static str,
    method: Method,
    pattern: &'static str,
    access: Access,
    body_bytes_max: usize,
    handler: Handler,
) -> Route {
    Route { name, method, pattern, access, body_bytes_max, handler }
}

/// A body that is not looked at; some clients send `{}` or `null`.
const NO_BODY: usize = BODY_BYTES_SMALL;

use Access::{Everywhere, Lease, Org, Own, Project, Public, Run, Server, Stack, User};
use Method::{Delete, Get, Head, Patch, Post, Put};
use Permission::{Admin, Audit, Decrypt, Read, See, Update};

/// Every endpoint. Names are the CLI's own.
/// Source: pkg/backend/httpstate/client/api_endpoints.go.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route("getRoot", Get, "/", Public, NO_BODY, health::root),
    route("getHealth", Get, "/healthz", Public, NO_BODY, health::healthz),
    route("getReadiness", Get, "/readyz", Public, NO_BODY, health::readyz),
    route("getMetrics", Get, "/metrics", Server, NO_BODY, metrics::page),
    route("getOpenAPI", Get, "/api/openapi", Public, NO_BODY, openapi::get),
    route("getOpenAPISpec", Get, "/api/openapi/pulumi-spec.json", Public, NO_BODY, openapi::get),

    route("adminGetStatus", Get, "/api/admin/status", Server, NO_BODY, admin::status),
    route("adminListLocks", Get, "/api/admin/locks", Server, NO_BODY, admin::locks),
    route("adminGetStack", Get, "/api/admin/stacks/{orgName}/{projectName}/{stackName}", Stack(See), NO_BODY, admin::stack),
    route("adminListVersions", Get, "/api/admin/stacks/{orgName}/{projectName}/{stackName}/versions", Stack(See), NO_BODY, admin::versions),

    route("getCapabilities", Get, "/api/capabilities", User, NO_BODY, capability::list),
    route("getCLIVersionInfo", Get, "/api/cli/version", Public, NO_BODY, capability::cli_version),
    route("getCurrentUser", Get, "/api/user", User, NO_BODY, user::get),
    route("getDefaultOrganization", Get, "/api/user/organizations/default", User, NO_BODY, user::default_organization),
    route("listUserStacks", Get, "/api/user/stacks", User, NO_BODY, stack::list),
    route("listPackages", Get, "/api/registry/packages", User, NO_BODY, capability::no_packages),

    route("exchangeToken", Post, "/api/oauth/token", Public, BODY_BYTES_SMALL, oauth::exchange),
    route("listPersonalTokens", Get, "/api/user/tokens", Own, NO_BODY, token::list_own),
    route("createPersonalToken", Post, "/api/user/tokens", Own, BODY_BYTES_SMALL, token::create_own),
    route("deletePersonalToken", Delete, "/api/user/tokens/{tokenID}", Own, NO_BODY, token::delete_own),

    route("listOrganizationMembers", Get, "/api/orgs/{orgName}/members", Org(Audit), NO_BODY, member::list),
    route("addOrganizationMember", Post, "/api/orgs/{orgName}/members/{userLogin}", Org(Admin), BODY_BYTES_SMALL, member::set),
    route("updateOrganizationMember", Patch, "/api/orgs/{orgName}/members/{userLogin}", Org(Admin), BODY_BYTES_SMALL, member::set),
    route("deleteOrganizationMember", Delete, "/api/orgs/{orgName}/members/{userLogin}", Org(Admin), NO_BODY, member::delete),
    route("listGrants", Get, "/api/orgs/{orgName}/grants", Org(Audit), NO_BODY, member::list_grants),
    route("addGrant", Post, "/api/orgs/{orgName}/grants", Org(Admin), BODY_BYTES_SMALL, member::add_grant),
    route("removeGrant", Delete, "/api/orgs/{orgName}/grants", Org(Admin), NO_BODY, member::remove_grant),
    route("listOrgTokens", Get, "/api/orgs/{orgName}/tokens", Org(Audit), NO_BODY, token::list_of_org),
    route("createOrgToken", Post, "/api/orgs/{orgName}/tokens", Org(Admin), BODY_BYTES_SMALL, token::create_for_org),
    route("deleteOrgToken", Delete, "/api/orgs/{orgName}/tokens/{tokenID}", Org(Admin), NO_BODY, token::delete_of_org),
    route("listAuditLogs", Get, "/api/orgs/{orgName}/auditlogs", Org(Audit), NO_BODY, audit::list_of_org),
    route("exportAuditLogs", Get, "/api/orgs/{orgName}/auditlogs/export", Org(Audit), NO_BODY, audit::export_of_org),

    route("listUsers", Get, "/api/admin/users", Server, NO_BODY, account::list_users),
    route("addUser", Post, "/api/admin/users", Server, BODY_BYTES_SMALL, account::add_user),
    route("updateUser", Patch, "/api/admin/users/{userLogin}", Server, BODY_BYTES_SMALL, account::set_user),
    route("removeUser", Delete, "/api/admin/users/{userLogin}", Server, NO_BODY, account::remove_user),
    route("listOrganizations", Get, "/api/admin/orgs", Server, NO_BODY, account::list_orgs),
    route("addOrganization", Post, "/api/admin/orgs", Server, BODY_BYTES_SMALL, account::add_org),
    route("listTokens", Get, "/api/admin/tokens", Server, NO_BODY, token::list),
    route("createToken", Post, "/api/admin/users/{userLogin}/tokens", Server, BODY_BYTES_SMALL, token::create_for_user),
    route("deleteToken", Delete, "/api/admin/tokens/{tokenID}", Server, NO_BODY, token::delete),
    route("listIssuers", Get, "/api/admin/issuers", Server, NO_BODY, issuer::list),
    route("addIssuer", Post, "/api/admin/issuers", Server, BODY_BYTES_SMALL, issuer::add),
    route("removeIssuer", Delete, "/api/admin/issuers/{issuerID}", Server, NO_BODY, issuer::remove),
    route("getAuditRecords", Get, "/api/admin/audit", Everywhere(Audit), NO_BODY, audit::list),
    route("exportAuditRecords", Get, "/api/admin/audit/export", Everywhere(Audit), NO_BODY, audit::export),
    route("getAuditHead", Get, "/api/admin/audit/head", Everywhere(Audit), NO_BODY, audit::head),
    route("verifyAuditRecords", Post, "/api/admin/audit/verify", Everywhere(Audit), BODY_BYTES_CONFIG, audit::verify),

    route("createBackup", Post, "/api/admin/backup", Server, BODY_BYTES_SMALL, backup::make),
    route("getBackup", Get, "/api/admin/backups/{backupName}", Server, NO_BODY, backup::show),
    route("getProgress", Get, "/api/admin/progress", Server, NO_BODY, backup::progress),
    route("listBackups", Get, "/api/admin/backups", Server, NO_BODY, backup::list),
    route("showKeys", Get, "/api/admin/keys", Server, NO_BODY, key::show),
    route("verifyDatabase", Post, "/api/admin/verify", Server, NO_BODY, verify::run),
    route("rotateMasterKey", Post, "/api/admin/keys/rotate", Server, BODY_BYTES_SMALL, key::rotate),
    route("renewStackKey", Post, "/api/admin/keys/renew/{orgName}/{projectName}/{stackName}", Server, NO_BODY, key::renew),

    route("projectExists", Head, "/api/stacks/{orgName}/{projectName}", User, NO_BODY, stack::project_exists),
    route("createStack", Post, "/api/stacks/{orgName}/{projectName}", Project(Admin), BODY_BYTES_DEPLOYMENT, stack::create),
    route("getStack", Get, "/api/stacks/{orgName}/{projectName}/{stackName}", Stack(See), NO_BODY, stack::get),
    route("deleteStack", Delete, "/api/stacks/{orgName}/{projectName}/{stackName}", Stack(Admin), NO_BODY, stack::delete),
    route("renameStack", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/rename", Stack(Admin), BODY_BYTES_SMALL, stack::rename),
    route("updateStackTags", Patch, "/api/stacks/{orgName}/{projectName}/{stackName}/tags", Stack(Update), BODY_BYTES_SMALL, stack::set_tags),
    route("updateStackConfig", Put, "/api/stacks/{orgName}/{projectName}/{stackName}/config", Stack(Update), BODY_BYTES_SMALL, stack::refuse_config),

    route("exportStack", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/export", Stack(Read), NO_BODY, deployment::export),
    route("exportStackVersion", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/export/{version}", Stack(Read), NO_BODY, deployment::export_version),
    route("importStack", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/import", Stack(Admin), BODY_BYTES_DEPLOYMENT, deployment::import),

    route("getStackUpdates", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/updates", Stack(See), NO_BODY, history::list),
    route("getLatestUpdate", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/updates/latest", Stack(See), NO_BODY, history::latest),
    route("getLatestPreviews", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/updates/latest/previews", Stack(See), NO_BODY, history::previews),
    route("getUpdateByVersion", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/updates/{version}", Stack(See), NO_BODY, history::by_version),

    route("encryptValue", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/encrypt", Stack(Read), BODY_BYTES_SECRETS, secret::encrypt),
    route("decryptValue", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/decrypt", Stack(Decrypt), BODY_BYTES_SECRETS, secret::decrypt),
    route("batchEncryptValue", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/batch-encrypt", Stack(Read), BODY_BYTES_SECRETS, secret::batch_encrypt),
    route("batchDecryptValue", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/batch-decrypt", Stack(Decrypt), BODY_BYTES_SECRETS, secret::batch_decrypt),
    route("logDecryption", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/decrypt/log-decryption", Stack(Read), BODY_BYTES_SMALL, secret::log_decryption),
    route("logBatchDecryption", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/decrypt/log-batch-decryption", Stack(Read), BODY_BYTES_SMALL, secret::log_batch_decryption),

    route("createPreview", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/preview", Stack(Decrypt), BODY_BYTES_CONFIG, update::create_preview),
    route("createUpdate", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update", Stack(Update), BODY_BYTES_CONFIG, update::create_update),
    route("createRefresh", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/refresh", Stack(Update), BODY_BYTES_CONFIG, update::create_refresh),
    route("createDestroy", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/destroy", Stack(Update), BODY_BYTES_CONFIG, update::create_destroy),
    route("getUpdateStatus", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}", Stack(See), NO_BODY, update::status),
    route("startUpdate", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}", Run, BODY_BYTES_SMALL, update::start),
    route("cancelUpdate", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/cancel", Run, NO_BODY, update::cancel),
    route("getUpdateEvents", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/events", Stack(Read), NO_BODY, event::list),

    route("renewLease", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/renew_lease", Lease, BODY_BYTES_SMALL, update::renew_lease),
    route("completeUpdate", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/complete", Lease, BODY_BYTES_SMALL, update::complete),
    route("patchCheckpoint", Patch, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/checkpoint", Lease, BODY_BYTES_DEPLOYMENT, checkpoint::whole),
    route("patchCheckpointVerbatim", Patch, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/checkpointverbatim", Lease, BODY_BYTES_DEPLOYMENT, checkpoint::verbatim),
    route("patchCheckpointDelta", Patch, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/checkpointdelta", Lease, BODY_BYTES_DEPLOYMENT, checkpoint::delta),
    route("appendJournalEntries", Patch, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/journalentries", Lease, BODY_BYTES_JOURNAL, journal::append),
    route("postEngineEventsBatch", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/events/batch", Lease, BODY_BYTES_EVENTS, event::append),
    route("postEngineEvent", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/events", Lease, BODY_BYTES_EVENTS, event::append_one),
];
