/** How a function is bundled: `lib/pipeline-function.ts` does so for the template, a test measures what comes out. */

/** Bundled CommonJS packages call `require`, which an ES module has not got. */
export const REQUIRE_BANNER =
  "import{createRequire as __cr}from'module';const require=__cr(import.meta.url);";

/** Where packages are entered: their ES modules, of which esbuild leaves out what is not used. */
export const MAIN_FIELDS = ['module', 'main'];

/**
 * Where the SDK looks for credentials if the environment holds none: profiles, SSO, processes, tokens, EC2, containers. It
 * imports each only then, and Lambda always puts a function's credentials into its environment. With them, a bundle
 * would hold four more clients of AWS: 109 KB that no invocation runs.
 */
export const OTHER_CREDENTIALS = [
  '@aws-sdk/credential-provider-http',
  '@aws-sdk/credential-provider-ini',
  '@aws-sdk/credential-provider-process',
  '@aws-sdk/credential-provider-sso',
  '@aws-sdk/credential-provider-web-identity',
  '@smithy/credential-provider-imds',
];
