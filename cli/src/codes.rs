//! The stable codes of this tool's own errors; those of projects are in `project/fault.rs`. Each has a page in
//! `docs/errors`.

use wherry_domain::failure::Code;

/// No controller is known, or no token for it.
pub(crate) const NOT_SIGNED_IN: Code = Code::new("client.not_signed_in");
/// The address is not one of a controller.
pub(crate) const URL_INVALID: Code = Code::new("client.url_invalid");
/// The token would cross a network in the clear.
pub(crate) const PLAIN_HTTP: Code = Code::new("client.plain_http");
/// The controller did not answer.
pub(crate) const UNREACHABLE: Code = Code::new("client.unreachable");
/// Something else than a controller of this version answered.
pub(crate) const ANSWER_UNEXPECTED: Code = Code::new("client.answer_unexpected");
/// A name that is part of an address is none.
pub(crate) const NAME_EMPTY: Code = Code::new("client.name_empty");
/// The HTTP client cannot be set up.
pub(crate) const UNUSABLE: Code = Code::new("client.unusable");
/// There is no place to keep the sign-in.
pub(crate) const NO_HOME: Code = Code::new("client.no_home");
/// Others may read the file with the token.
pub(crate) const SETTINGS_EXPOSED: Code = Code::new("client.settings_exposed");
/// Others may read a private key.
pub(crate) const KEY_EXPOSED: Code = Code::new("client.key_exposed");
/// A file cannot be read.
pub(crate) const FILE_UNREADABLE: Code = Code::new("client.file_unreadable");
/// A file cannot be written.
pub(crate) const FILE_UNWRITABLE: Code = Code::new("client.file_unwritable");
/// A key would be overwritten.
pub(crate) const FILE_EXISTS: Code = Code::new("client.file_exists");
/// Nobody is there to agree.
pub(crate) const CONFIRMATION_NEEDED: Code = Code::new("client.confirmation_needed");
/// The person left.
pub(crate) const INTERRUPTED: Code = Code::new("client.interrupted");
/// The run takes longer than the person waits.
pub(crate) const WAIT_ENDED: Code = Code::new("client.wait_ended");
/// The run ended without success and without a code of its own.
pub(crate) const RUN_NOT_SUCCEEDED: Code = Code::new("run.not_succeeded");
/// The file is not a WebAssembly component.
pub(crate) const PACKAGE_NOT_A_COMPONENT: Code = Code::new("package.not_a_component");
/// The file is not a descriptor.
pub(crate) const PACKAGE_DESCRIPTOR_INVALID: Code = Code::new("package.descriptor_invalid");
/// A new connector would be mixed with something else.
pub(crate) const CONNECTOR_FOLDER: Code = Code::new("connector.folder_in_use");
/// A new connector cannot have that name.
pub(crate) const CONNECTOR_NAME: Code = Code::new("connector.name_unsuitable");
/// The kit for connectors is nowhere.
pub(crate) const CONNECTOR_SDK: Code = Code::new("connector.sdk_missing");
/// Connectors in that language do not work yet.
pub(crate) const CONNECTOR_LANGUAGE: Code = Code::new("connector.language_unsupported");
/// A test case cannot be read.
pub(crate) const CONNECTOR_TEST_CASE: Code = Code::new("connector.test_case_invalid");
/// A connector does not build.
pub(crate) const CONNECTOR_TEST_BUILD: Code = Code::new("connector.build_failed");
/// A connector did not do what its tests expect.
pub(crate) const CONNECTOR_TEST_FAILED: Code = Code::new("connector.test_failed");
/// Nothing came to be recorded.
pub(crate) const CONNECTOR_TEST_RECORDING: Code = Code::new("connector.recording_empty");
/// What was recorded is a failure that nobody asked for.
pub(crate) const CONNECTOR_TEST_RECORDED_FAILURE: Code = Code::new("connector.recording_failed");
/// The component says something else.
pub(crate) const PACKAGE_DESCRIPTOR_DIFFERS: Code = Code::new("package.descriptor_differs");
/// Nobody signed the component.
pub(crate) const PACKAGE_UNSIGNED: Code = Code::new("package.unsigned");
/// The file is not a package.
pub(crate) const PACKAGE_MALFORMED: Code = Code::new("package.malformed");
/// A manifest of a declarative connector has faults.
pub(crate) const MANIFEST_INVALID: Code = Code::new("manifest.invalid");
/// A manifest is larger than the engine has room for.
pub(crate) const MANIFEST_TOO_LARGE: Code = Code::new("manifest.too_large");
/// The engine of declarative connectors is not here, or the file is not one.
pub(crate) const MANIFEST_ENGINE: Code = Code::new("manifest.engine_unfit");
/// The project has faults; the controller uses the same code.
pub(crate) const PROJECT_INVALID: Code = Code::new("project.invalid");
/// The controller would deploy something else than the folder holds; agents use the same code for a document that is
/// not what its digest says.
pub(crate) const DEPLOYMENT_ALTERED: Code = Code::new("deployment.altered");
/// The project is not deployed there; the controller uses the same code.
pub(crate) const PROJECT_NOT_DEPLOYED: Code = Code::new("project.not_deployed");
/// What an action is to be called with is not JSON; the controller uses the same code for what a connector refuses.
pub(crate) const ACTION_INPUT_INVALID: Code = Code::new("action.input_invalid");
/// Another program of Wherry is not beside this one.
pub(crate) const PROGRAM_MISSING: Code = Code::new("client.program_missing");
/// Another program of Wherry came to an end by itself.
pub(crate) const PROGRAM_ENDED: Code = Code::new("client.program_ended");
/// Records to try a program with are not JSON.
pub(crate) const TRANSFORM_INPUT_INVALID: Code = Code::new("transform.input_invalid");
/// A program is not beside this one.
pub(crate) const DEMO_PROGRAM_MISSING: Code = Code::new("demo.program_missing");
/// The connector is not built.
pub(crate) const DEMO_CONNECTOR_MISSING: Code = Code::new("demo.connector_missing");
/// The folder is not empty.
pub(crate) const DEMO_FOLDER_IN_USE: Code = Code::new("demo.folder_in_use");
/// A process ended that should not.
pub(crate) const DEMO_PROCESS_ENDED: Code = Code::new("demo.process_ended");
/// A process is not ready in time.
pub(crate) const DEMO_TIMED_OUT: Code = Code::new("demo.timed_out");
/// A process said something unknown.
pub(crate) const DEMO_ANSWER_UNEXPECTED: Code = Code::new("demo.answer_unexpected");
/// The tracker does not hold what the run says.
pub(crate) const DEMO_COUNT_DIFFERS: Code = Code::new("demo.count_differs");
/// A group's roster is not the one that was seen before.
pub(crate) const ROSTER_FORKED: Code = Code::new("roster.forked");
/// A group's roster was founded by someone else, and its fingerprint was not compared.
pub(crate) const ROSTER_UNPINNED: Code = Code::new("roster.unpinned");
/// This person's key is not one of a group's operators.
pub(crate) const OPERATOR_UNKNOWN: Code = Code::new("operator.unknown");
/// A group has no key to seal to.
pub(crate) const SECRET_NO_KEYRING: Code = Code::new("secret.no_keyring");
/// The value of a secret is empty, too large or not text.
pub(crate) const SECRET_UNACCEPTABLE: Code = Code::new("secret.unacceptable");
/// A file is not a recovery key of the group.
pub(crate) const RECOVERY_KEY_INVALID: Code = Code::new("recovery.key_invalid");
/// An environment has nothing to do with a connector; the controller uses the same code.
pub(crate) const LOCK_CONNECTOR_MISSING: Code = Code::new("lock.connector_missing");
/// The lock that the controller sends to be signed is not what was asked for.
pub(crate) const LOCK_NOT_AS_ASKED: Code = Code::new("lock.not_as_asked");
/// It changes more than was asked for, and nobody is asked.
pub(crate) const LOCK_UNASKED_CHANGES: Code = Code::new("lock.unasked_changes");
/// A connector asks for more than it was given, and nobody agreed; the controller uses the same code.
pub(crate) const LOCK_CAPABILITIES_GROWN: Code = Code::new("lock.capabilities_grown");
/// The controller signs with a key that no list signed here named.
pub(crate) const CATALOGUE_KEY_CHANGED: Code = Code::new("catalogue.key_changed");
/// The controller shows an older publishers list than was signed here; agents use the same code.
pub(crate) const CATALOGUE_ROLLED_BACK: Code = Code::new("catalogue.rolled_back");
