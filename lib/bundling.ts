/**
 * How a function is bundled in a checkout, for the template and for the package `batchdrop`, whose bundles are made once and
 * deployed as they are (`lib/function-code.ts`).
 */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds `lib/` and `lambdas/`. */
export const PROJECT = fileURLToPath(new URL('..', import.meta.url));

/** How esbuild makes one ES module of a function and everything it imports, the SDK too: the bundle that ran on a laptop is the one that runs in the account. */
export const BUNDLE_OPTIONS = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  minify: true,
  // Packages are entered by their ES modules, of which esbuild leaves out what is not used.
  mainFields: ['module', 'main'],
  // Bundled CommonJS packages call `require`, which an ES module has not got.
  banner: { js: "import{createRequire as __cr}from'module';const require=__cr(import.meta.url);" },
  logLevel: 'warning',
} satisfies import('esbuild').BuildOptions;

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

/**
 * Modules that functions import late and not always, by function, as they import them: each becomes a file beside the
 * bundle, since what is in the bundle is parsed at every cold start, whether it is used or not.
 */
const LATE_MODULES: Readonly<Record<string, readonly string[] | undefined>> = {
  // See src/providers/openai/gpt-tokenizer.ts: they would cost each cold start 180 ms of a vCPU and 36 MB (measured).
  ingest: ['gpt-tokenizer/encoding/o200k_base', 'gpt-tokenizer/encoding/cl100k_base'],
};

const MODULES = '/node_modules/';

/**
 * Bundles `lambdas/<name>/handler.ts`.
 *
 * @param folder gets `index.mjs` and, beside it, a file for each module that the function loads late.
 * @returns the files that went into them, as paths from {@link PROJECT}.
 * @throws what esbuild says, or that it is not installed.
 */
export function bundleFunction(name: string, folder: string): string[] {
  // Only a checkout has esbuild: a package has bundles.
  const { buildSync } = createRequire(import.meta.url)('esbuild') as typeof import('esbuild');
  const loadedLate = LATE_MODULES[name] ?? [];
  const common = { ...BUNDLE_OPTIONS, absWorkingDir: PROJECT, metafile: true } as const;
  const { metafile } = buildSync({
    ...common,
    entryPoints: [`lambdas/${name}/handler.ts`],
    outfile: join(folder, 'index.mjs'),
    external: [...OTHER_CREDENTIALS, ...loadedLate],
  });
  const inputs = Object.keys(metafile.inputs);
  for (const late of loadedLate) {
    const file = fileURLToPath(import.meta.resolve(late)).replaceAll('\\', '/');
    const root = file.slice(0, file.lastIndexOf(MODULES) + MODULES.length);
    const path = file.slice(root.length);
    const outfile = join(folder, 'node_modules', path);
    const made = buildSync({ ...common, banner: {}, entryPoints: [file], outfile });
    inputs.push(...Object.keys(made.metafile.inputs));
    describeModules(root, path, folder);
  }
  return inputs;
}

/** Copies the files by which Node finds a module under its name, and takes it for an ES module. */
function describeModules(root: string, path: string, folder: string): void {
  for (let at = dirname(path); at !== '.'; at = dirname(at)) {
    const description = join(at, 'package.json');
    if (!existsSync(join(root, description))) continue;
    mkdirSync(join(folder, 'node_modules', at), { recursive: true });
    copyFileSync(join(root, description), join(folder, 'node_modules', description));
  }
}
