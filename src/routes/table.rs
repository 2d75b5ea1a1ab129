//! Every endpoint, in one table: dispatch, access, body limits and log lines come from it.

use crate::api::{
    capability, checkpoint, deployment, event, health, history, journal, secret, stack, update, user,
};
use crate::app::App;
use crate::call::Call;
use crate::error::Error;
use crate::http::{Method, Response};
use crate::limits::{
    BODY_BYTES_CONFIG, BODY_BYTES_DEPLOYMENT, BODY_BYTES_EVENTS, BODY_BYTES_JOURNAL, BODY_BYTES_SECRETS,
    BODY_BYTES_SMALL,
};
use crate::ops::key;

/// Who may call a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody.
    Public,
    /// The holder of an access token.
    User,
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

use Access::{Lease, Public, User};
use Method::{Delete, Get, Head, Patch, Post, Put};

/// Every endpoint. Names are the CLI's own.
/// Source: pkg/backend/httpstate/client/api_endpoints.go.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route("getRoot", Get, "/", Public, NO_BODY, health::root),
    route("getHealth", Get, "/healthz", Public, NO_BODY, health::healthz),
    route("getReadiness", Get, "/readyz", Public, NO_BODY, health::readyz),

    route("getCapabilities", Get, "/api/capabilities", User, NO_BODY, capability::list),
    route("getCLIVersionInfo", Get, "/api/cli/version", Public, NO_BODY, capability::cli_version),
    route("getCurrentUser", Get, "/api/user", User, NO_BODY, user::get),
    route("getDefaultOrganization", Get, "/api/user/organizations/default", User, NO_BODY, user::default_organization),
    route("listUserStacks", Get, "/api/user/stacks", User, NO_BODY, stack::list),
    route("listPackages", Get, "/api/registry/packages", User, NO_BODY, capability::no_packages),

    route("showKeys", Get, "/api/admin/keys", User, NO_BODY, key::show),
    route("rotateMasterKey", Post, "/api/admin/keys/rotate", User, BODY_BYTES_SMALL, key::rotate),
    route("renewStackKey", Post, "/api/admin/keys/renew/{orgName}/{projectName}/{stackName}", User, NO_BODY, key::renew),

    route("projectExists", Head, "/api/stacks/{orgName}/{projectName}", User, NO_BODY, stack::project_exists),
    route("createStack", Post, "/api/stacks/{orgName}/{projectName}", User, BODY_BYTES_DEPLOYMENT, stack::create),
    route("getStack", Get, "/api/stacks/{orgName}/{projectName}/{stackName}", User, NO_BODY, stack::get),
    route("deleteStack", Delete, "/api/stacks/{orgName}/{projectName}/{stackName}", User, NO_BODY, stack::delete),
    route("renameStack", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/rename", User, BODY_BYTES_SMALL, stack::rename),
    route("updateStackTags", Patch, "/api/stacks/{orgName}/{projectName}/{stackName}/tags", User, BODY_BYTES_SMALL, stack::set_tags),
    route("updateStackConfig", Put, "/api/stacks/{orgName}/{projectName}/{stackName}/config", User, BODY_BYTES_SMALL, stack::refuse_config),

    route("exportStack", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/export", User, NO_BODY, deployment::export),
    route("exportStackVersion", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/export/{version}", User, NO_BODY, deployment::export_version),
    route("importStack", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/import", User, BODY_BYTES_DEPLOYMENT, deployment::import),

    route("getStackUpdates", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/updates", User, NO_BODY, history::list),
    route("getLatestUpdate", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/updates/latest", User, NO_BODY, history::latest),
    route("getLatestPreviews", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/updates/latest/previews", User, NO_BODY, history::previews),
    route("getUpdateByVersion", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/updates/{version}", User, NO_BODY, history::by_version),

    route("encryptValue", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/encrypt", User, BODY_BYTES_SECRETS, secret::encrypt),
    route("decryptValue", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/decrypt", User, BODY_BYTES_SECRETS, secret::decrypt),
    route("batchEncryptValue", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/batch-encrypt", User, BODY_BYTES_SECRETS, secret::batch_encrypt),
    route("batchDecryptValue", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/batch-decrypt", User, BODY_BYTES_SECRETS, secret::batch_decrypt),
    route("logDecryption", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/decrypt/log-decryption", User, BODY_BYTES_SMALL, secret::log_decryption),
    route("logBatchDecryption", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/decrypt/log-batch-decryption", User, BODY_BYTES_SMALL, secret::log_batch_decryption),

    route("createPreview", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/preview", User, BODY_BYTES_CONFIG, update::create_preview),
    route("createUpdate", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update", User, BODY_BYTES_CONFIG, update::create_update),
    route("createRefresh", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/refresh", User, BODY_BYTES_CONFIG, update::create_refresh),
    route("createDestroy", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/destroy", User, BODY_BYTES_CONFIG, update::create_destroy),
    route("getUpdateStatus", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}", User, NO_BODY, update::status),
    route("startUpdate", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}", User, BODY_BYTES_SMALL, update::start),
    route("cancelUpdate", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/cancel", User, NO_BODY, update::cancel),
    route("getUpdateEvents", Get, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/events", User, NO_BODY, event::list),

    route("renewLease", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/renew_lease", Lease, BODY_BYTES_SMALL, update::renew_lease),
    route("completeUpdate", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/complete", Lease, BODY_BYTES_SMALL, update::complete),
    route("patchCheckpoint", Patch, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/checkpoint", Lease, BODY_BYTES_DEPLOYMENT, checkpoint::whole),
    route("patchCheckpointVerbatim", Patch, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/checkpointverbatim", Lease, BODY_BYTES_DEPLOYMENT, checkpoint::verbatim),
    route("patchCheckpointDelta", Patch, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/checkpointdelta", Lease, BODY_BYTES_DEPLOYMENT, checkpoint::delta),
    route("appendJournalEntries", Patch, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/journalentries", Lease, BODY_BYTES_JOURNAL, journal::append),
    route("postEngineEventsBatch", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/events/batch", Lease, BODY_BYTES_EVENTS, event::append),
    route("postEngineEvent", Post, "/api/stacks/{orgName}/{projectName}/{stackName}/update/{updateID}/events", Lease, BODY_BYTES_EVENTS, event::append_one),
];
