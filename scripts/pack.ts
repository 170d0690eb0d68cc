/**
 * `npm run pack [-- FOLDER]`: makes the packages of `scripts/packages.ts` in `dist/`, a folder and a tarball each. esbuild makes
 * the modules, tsc their declarations; nothing else is run on them.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, posix, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile, type Plugin } from 'esbuild';
import { BUNDLE_OPTIONS, bundleFunction } from '../lib/bundling.ts';
import packageJson from '../package.json' with { type: 'json' };
import { noticesOf } from './notices.ts';
import { OWNERS, PACKAGES, type PublishedPackage, SAME_RELEASE } from './packages.ts';

const ROOT = join(import.meta.dirname, '..');
/** Where `lib/function-code.ts` looks for bundles. */
const FUNCTIONS = 'functions';
const VERSIONS: Readonly<Record<string, string>> = {
  ...packageJson.devDependencies,
  ...packageJson.dependencies,
};

/** Where a file of the repository is in a package. */
function placeOf({ base }: PublishedPackage, path: string): string {
  return posix.relative(base, path).replace(/(?<!\.d)\.ts$/, '.js');
}

/** The manifest that is published. */
function manifestOf(pkg: PublishedPackage): object {
  const main = `./${placeOf(pkg, pkg.main)}`;
  const types = main.replace(/\.js$/, '.d.ts');
  const peers = Object.entries(pkg.peers).map(([name, range]) => [
    name,
    range === SAME_RELEASE ? packageJson.version : range,
  ]);
  const { GITHUB_SERVER_URL, GITHUB_REPOSITORY } = process.env;
  return {
    name: pkg.name,
    version: packageJson.version,
    description: pkg.description,
    keywords: pkg.keywords,
    license: packageJson.license,
    // Provenance holds the repository that publishes against this.
    ...(GITHUB_REPOSITORY === undefined
      ? {}
      : {
          repository: {
            type: 'git',
            url: `git+${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}.git`,
            ...(pkg.base === '.' ? {} : { directory: pkg.base }),
          },
        }),
    type: 'module',
    engines: { node: pkg.node },
    main,
    types,
    // "default" also answers `require`, which Node lets load an ES module without top-level await.
    exports: { '.': { types, default: main }, './package.json': './package.json' },
    bin: Object.fromEntries(Object.keys(pkg.bin).map((name) => [name, `bin/${name}.js`])),
    dependencies: Object.fromEntries(pkg.dependencies.map((name) => [name, `^${VERSIONS[name]}`])),
    peerDependencies: Object.fromEntries(peers),
    peerDependenciesMeta: Object.fromEntries(pkg.optionalPeers.map((name) => [name, { optional: true }])),
  };
}

/** Imports of what another package owns become imports of that package. */
function ownersOf({ name }: PublishedPackage): Plugin {
  return {
    name: 'owners',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\..*\.ts$/ }, ({ path, resolveDir }) => {
        const owner = OWNERS[relative(ROOT, join(resolveDir, path)).replaceAll('\\', '/')];
        return owner === undefined || owner === name ? undefined : { path: owner, external: true };
      });
      // The functions have them beside their bundles.
      onResolve({ filter: /^gpt-tokenizer\// }, ({ path }) => {
        const file = fileURLToPath(import.meta.resolve(path)).replaceAll('\\', '/');
        const found = file.slice(file.lastIndexOf('node_modules/'));
        return { path: `../${FUNCTIONS}/ingest/${found}`, external: true };
      });
      onLoad({ filter: /[\\/]package\.json$/ }, ({ path }) =>
        resolve(path) === join(ROOT, 'package.json')
          ? { contents: JSON.stringify({ version: packageJson.version }), loader: 'json' }
          : undefined,
      );
    },
  };
}

/** Bundles one module of a package. @returns what went into it. */
async function bundle(pkg: PublishedPackage, entry: string, folder: string): Promise<Metafile> {
  const { minify: _, ...options } = BUNDLE_OPTIONS;
  const place = posix.dirname(placeOf(pkg, entry));
  const holdsOthers = pkg.bundlesOthers && entry !== pkg.main;
  const { metafile } = await build({
    ...options,
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outdir: folder,
    outbase: pkg.base,
    splitting: true,
    chunkNames: posix.join(place, `${basename(entry, '.ts')}-[hash]`),
    target: `node${/[\d.]+/.exec(pkg.node)![0]}`,
    external: [...pkg.dependencies, ...Object.keys(pkg.peers)],
    plugins: [ownersOf(pkg)],
    // A bundle is only ever run as the program that it is.
    define: { 'import.meta.main': 'true' },
    // What others wrote is not read here, and takes room.
    ...(holdsOthers ? { minifyWhitespace: true, minifySyntax: true, lineLimit: 200 } : { banner: {} }),
    metafile: true,
  });
  return metafile;
}

/** Packages that modules import and that are not in them, by name. */
function importedBy(metafiles: readonly Metafile[]): Set<string> {
  const paths = metafiles
    .flatMap(({ outputs }) => Object.values(outputs).flatMap(({ imports }) => imports))
    .filter(({ external, path }) => external && !/^(node:|\.)/.test(path))
    .map(({ path }) => /^(@[^/]+\/)?[^/]+/.exec(path)![0]);
  return new Set(paths);
}

/** @throws if the manifest says otherwise than the modules: what is imported and not listed would be missing. */
function checkImports(pkg: PublishedPackage, metafiles: readonly Metafile[]): void {
  const listed = [...pkg.dependencies, ...Object.keys(pkg.peers)];
  const imported = importedBy(metafiles);
  const builtins = new Set(process.getBuiltinModule('node:module').builtinModules);
  const missing = [...imported].filter((name) => !listed.includes(name) && !builtins.has(name));
  const unused = pkg.dependencies.filter((name) => !imported.has(name));
  if (missing.length + unused.length > 0)
    throw new Error(
      `${pkg.name} imports ${missing.join(', ') || 'nothing'} without listing it, and lists ${unused.join(', ') || 'nothing'} without importing it: fix scripts/packages.ts`,
    );
  const inside = metafiles
    .flatMap(({ inputs }) => Object.keys(inputs))
    .find((path) => path.includes('node_modules/'));
  if (inside !== undefined && !pkg.bundlesOthers)
    throw new Error(`${pkg.name} would hold ${inside}: list its package in scripts/packages.ts`);
}

/** Declarations of all packages. @returns their folder. */
function declare(folder: string): string {
  const config = join(folder, 'tsconfig.json');
  const outDir = join(folder, 'declarations');
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    config,
    JSON.stringify({
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        rootDir: ROOT,
        outDir,
        typeRoots: [join(ROOT, 'node_modules/@types')],
      },
      include: [],
      // And what declares packages that do not do so themselves.
      files: [...PACKAGES.map(({ main }) => main), ...globSync('local/**/*.d.ts', { cwd: ROOT })].map(
        (path) => join(ROOT, path),
      ),
    }),
  );
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '--project', config], {
    stdio: 'inherit',
  });
  return outDir;
}

const SPECIFIER = /(\bfrom |\bimport\()(['"])(\.[^'"]*\.ts)\2/g;

/** Copies the declarations that the module of a package needs. */
function copyDeclarations(pkg: PublishedPackage, from: string, to: string): void {
  const open = [pkg.main];
  const done = new Set<string>();
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (done.has(path)) continue;
    done.add(path);
    const source = path.replace(/\.ts$/, '.d.ts');
    const text = readFileSync(join(from, source), 'utf8').replace(
      SPECIFIER,
      (_, before: string, quote: string, specifier: string) => {
        const target = posix.join(posix.dirname(path), specifier);
        const owner = OWNERS[target];
        if (owner !== undefined && owner !== pkg.name) return `${before}${quote}${owner}${quote}`;
        open.push(target);
        return `${before}${quote}${specifier.replace(/\.ts$/, '.js')}${quote}`;
      },
    );
    const file = join(to, placeOf(pkg, source));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

/** Writes the files that commands start, which an older Node reads, too, to say what is wrong. */
function writeCommands(pkg: PublishedPackage, folder: string): void {
  const [major, minor = 0] = /[\d.]+/.exec(pkg.node)![0].split('.').map(Number);
  for (const [name, path] of Object.entries(pkg.bin)) {
    const program = `../${placeOf(pkg, path)}`;
    mkdirSync(join(folder, 'bin'), { recursive: true });
    const text = `#!/usr/bin/env node
const [major, minor] = process.versions.node.split('.').map(Number);
if (major > ${major} || (major === ${major} && minor >= ${minor})) import(${JSON.stringify(program)});
else {
  console.error('${name} needs Node ${major}.${minor} or newer, and this is Node ' + process.versions.node + ': update it, or start another one.');
  process.exitCode = 1;
}
`;
    writeFileSync(join(folder, 'bin', `${name}.js`), text, { mode: 0o755 });
  }
}

/** Makes the folder of a package. */
async function make(pkg: PublishedPackage, folder: string, declarations: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const metafiles: Metafile[] = [];
  for (const entry of [pkg.main, ...pkg.programs]) metafiles.push(await bundle(pkg, entry, folder));
  checkImports(pkg, metafiles);
  writeCommands(pkg, folder);
  copyDeclarations(pkg, declarations, folder);
  for (const path of ['LICENSE', ...pkg.copies]) {
    const place = path === 'LICENSE' || basename(path) === 'README.md' ? basename(path) : placeOf(pkg, path);
    cpSync(join(ROOT, path), join(folder, place), { recursive: true });
  }
  if (pkg.name === 'batchdrop') {
    const inputs = metafiles.flatMap(({ inputs }) => Object.keys(inputs));
    for (const name of readdirSync(join(ROOT, 'lambdas')))
      inputs.push(...bundleFunction(name, join(folder, FUNCTIONS, name)));
    writeFileSync(join(folder, 'THIRD-PARTY-NOTICES.txt'), noticesOf(ROOT, inputs));
  }
  if (pkg.name === 'batchdrop-local') {
    const { context } = JSON.parse(readFileSync(join(ROOT, 'cdk.json'), 'utf8'));
    const app = `node ${placeOf(pkg, pkg.programs[0]!)}`;
    writeFileSync(join(folder, 'cdk.json'), JSON.stringify({ app, context }, null, 2));
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifestOf(pkg), null, 2)}\n`);
}

const into = resolve(process.argv[2] ?? join(ROOT, 'dist'));
const declarations = declare(into);
for (const pkg of PACKAGES) {
  const folder = join(into, pkg.name);
  await make(pkg, folder, declarations);
  // npm is the system's, or the one that started this.
  const npm = process.env.npm_execpath;
  const [command, ...first] = npm === undefined ? ['npm'] : [process.execPath, npm];
  const output = execFileSync(command!, [...first, 'pack', '--json', '--pack-destination', into, folder], {
    cwd: into,
    encoding: 'utf8',
  });
  const [{ filename, size, unpackedSize, entryCount }] = JSON.parse(output);
  console.log(
    `${filename}: ${(size / 1e6).toFixed(2)} MB, ${(unpackedSize / 1e6).toFixed(1)} MB unpacked, ${entryCount} files`,
  );
}
rmSync(declarations, { recursive: true });
rmSync(join(into, 'tsconfig.json'));
