/**
 * `npm run docs:api`: the reference of what the packages export, in `docs/api`, from the declarations that they bring. Run
 * `npm run pack` before.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { parseSync } from 'oxc-parser';
import { PACKAGES } from './packages.ts';

const ROOT = join(import.meta.dirname, '..');

/** What is read of a node of the syntax tree. */
interface Node {
  type: string;
  start: number;
  end: number;
  declaration?: Node | null;
  declarations?: { id: { name: string } }[];
  id?: { name: string } | null;
  source?: { value: string } | null;
  specifiers?: { local: { name: string }; exported: { name: string } }[];
  /** Of an interface: its members. */
  body?: { body?: Member[] };
}

/** A member of an interface or a class. */
interface Member {
  type: string;
  start: number;
  key?: { name?: string };
}

/** A file of declarations. */
interface Declarations {
  path: string;
  text: string;
  body: Node[];
  comments: { type: string; value: string; start: number; end: number }[];
}

/** An exported name, where it is declared. */
interface Exported {
  name: string;
  /** Text between the marks of its comment, without the stars; undefined: there is none. */
  docstring: string | undefined;
  declaration: string;
  /** Members of an interface that have no docstring. */
  bareMembers: string[];
}

/** The reference of a package. */
export interface Reference {
  text: string;
  /** Exported names, and members of exported interfaces, that have no docstring. */
  gaps: string[];
}

/** @param folder of the package, made or installed. */
export function referenceOf(folder: string): Reference {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const files = new Map<string, Declarations>();
  const read = (path: string): Declarations => {
    const known = files.get(path);
    if (known !== undefined) return known;
    const text = readFileSync(join(folder, path), 'utf8');
    const { program, comments } = parseSync(path, text);
    const file: Declarations = { path, text, body: program.body as unknown as Node[], comments };
    files.set(path, file);
    return file;
  };
  const main = read(posix.normalize(manifest.types));
  const exported = namesOf(main).map((name) => find(read, main, name));
  const sections = exported.map(
    ({ name, docstring, declaration }) =>
      `## ${name}\n\n${docstring === undefined ? '' : `${proseOf(docstring)}\n\n`}\`\`\`ts\n${declaration}\n\`\`\`\n`,
  );
  const gaps = exported.flatMap(({ name, docstring, bareMembers }) => [
    ...(docstring === undefined ? [name] : []),
    ...bareMembers.map((member) => `${name}.${member}`),
  ]);
  const intro = `<!-- Made by \`npm run docs:api\`. -->\n\n# ${manifest.name}\n\n${manifest.description}\n\n`;
  return { text: `${intro}${sections.join('\n')}`, gaps };
}

/** What a module exports, in alphabetical order. */
function namesOf({ body }: Declarations): string[] {
  const names = body.flatMap(({ type, declaration, specifiers = [] }) => {
    if (type !== 'ExportNamedDeclaration') return [];
    if (declaration == null) return specifiers.map((each) => each.exported.name);
    return declaredIn(declaration);
  });
  return [...new Set(names)].sort((one, other) => (one.toLowerCase() < other.toLowerCase() ? -1 : 1));
}

const declaredIn = ({ id, declarations = [] }: Node): string[] =>
  id == null ? declarations.map((each) => each.id.name) : [id.name];

/** Follows re-exports to the declaration of a name. */
function find(read: (path: string) => Declarations, file: Declarations, name: string): Exported {
  for (const node of file.body) {
    if (node.declaration != null && declaredIn(node.declaration).includes(name))
      return exportedOf(file, node, name);
    const specifier = node.specifiers?.find((each) => each.exported?.name === name);
    if (specifier === undefined || node.source == null) continue;
    const path = posix.join(posix.dirname(file.path), node.source.value.replace(/\.js$/, '.d.ts'));
    return find(read, read(path), specifier.local.name);
  }
  throw new Error(`${file.path} exports ${name} in a way that this does not follow`);
}

function exportedOf(file: Declarations, node: Node, name: string): Exported {
  const docstring = docstringBefore(file, node);
  const declaration = file.text.slice(node.start, node.end).replace(/^export (declare )?/, '');
  return {
    name,
    docstring,
    declaration: declaration.replaceAll(/^ *#private;\n/gm, ''),
    bareMembers: bareMembersOf(file, node.declaration!),
  };
}

function bareMembersOf(file: Declarations, { type, body }: Node): string[] {
  if (type !== 'TSInterfaceDeclaration') return [];
  const bare = (body?.body ?? []).filter((member) => docstringBefore(file, member) === undefined);
  return bare.map(({ key, type: kind }) => key?.name ?? kind);
}

/** The comment right before a node. */
function docstringBefore({ text, comments }: Declarations, { start }: { start: number }): string | undefined {
  const comment = comments.find(
    ({ type, value, end }) =>
      type === 'Block' && value.startsWith('*') && end <= start && text.slice(end, start).trim() === '',
  );
  return comment?.value.replaceAll(/^\s*\*+ ?/gm, '').trim();
}

/** Tags become lines of a list, links become code. */
function proseOf(docstring: string): string {
  return docstring
    .replaceAll(/\{@link ([^}]+)\}/g, '`$1`')
    .replaceAll(
      /^@example\s*\n([\s\S]*?)(?=^@|$(?![\s\S]))/gm,
      (_, code: string) => `\`\`\`ts\n${code.trim()}\n\`\`\`\n`,
    )
    .replaceAll(/^@(\w+) (.*)$/gm, '- *$1* $2')
    .trim();
}

if (import.meta.main) {
  mkdirSync(join(ROOT, 'docs/api'), { recursive: true });
  for (const { name } of PACKAGES) {
    const folder = join(ROOT, 'dist', name);
    if (!existsSync(folder)) throw new Error(`${folder} is missing: run \`npm run pack\` first`);
    writeFileSync(join(ROOT, 'docs/api', `${name}.md`), referenceOf(folder).text);
  }
}
