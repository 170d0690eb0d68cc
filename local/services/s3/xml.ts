import { S3Error } from './errors.ts';

const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** One element to write: its text, or its children (absent ones may be `false` or `undefined`). */
export interface XmlNode {
  readonly name: string;
  readonly value: string | number | boolean | readonly XmlNode[];
}

/** Makes one element; falsy children are left out, so optional ones can be written in place. */
export function element(
  name: string,
  value: string | number | boolean | readonly (XmlNode | false | undefined)[],
): XmlNode {
  return { name, value: typeof value === 'object' ? value.filter((child) => !!child) : value };
}

/** Writes a document with S3's namespace on the root, or none for `<Error>`, as S3 does. */
export function renderXml(root: XmlNode): string {
  const attributes = root.name === 'Error' ? '' : ` xmlns="${S3_NAMESPACE}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${renderNode(root, attributes)}`;
}

function renderNode({ name, value }: XmlNode, attributes = ''): string {
  const content =
    typeof value === 'object' ? value.map((child) => renderNode(child)).join('') : escapeText(String(value));
  return `<${name}${attributes}>${content}</${name}>`;
}

function escapeText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: keys may hold them; a bare \r would be read back as \n.
  return text.replace(/[&<>"\u0000-\u0008\u000b-\u001f]/g, (char) => {
    const named = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }[char];
    return named ?? `&#x${char.charCodeAt(0).toString(16)};`;
  });
}

/** One parsed element. Attributes are dropped: no S3 request says anything in them that we keep. */
export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

const TOKEN =
  /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<!\[CDATA\[([\s\S]*?)\]\]>|<(\/?)([^\s<>/!]+)[^<>]*?(\/?)>|([^<]+)/y;

/**
 * Parses the small documents that S3 clients send (no DTD, no mixed content).
 *
 * @throws S3Error `MalformedXML`
 */
export function parseXml(source: string): XmlElement {
  const top = { name: '', text: '', children: [] as XmlElement[] };
  const open = [top];
  const token = new RegExp(TOKEN);
  while (token.lastIndex < source.length) {
    const match = token.exec(source);
    const parent = open.at(-1);
    if (!match || !parent) throw new S3Error('MalformedXML');
    const [, cdata, closing, qualifiedName, selfClosing, text] = match;
    if (cdata !== undefined) parent.text += cdata;
    else if (text !== undefined) parent.text += unescapeText(text);
    else if (qualifiedName !== undefined) {
      const name = qualifiedName.replace(/^.*:/, '');
      if (closing) {
        if (open.length === 1 || parent.name !== name) throw new S3Error('MalformedXML');
        open.pop();
        continue;
      }
      const child = { name, text: '', children: [] as XmlElement[] };
      parent.children.push(child);
      if (!selfClosing) open.push(child);
    }
  }
  const root = top.children[0];
  if (open.length !== 1 || !root || top.children.length !== 1 || top.text.trim()) {
    throw new S3Error('MalformedXML');
  }
  return root;
}

function unescapeText(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (entity, hex, decimal, name) => {
    if (name) return { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }[name as string] ?? entity;
    const code = Number.parseInt(hex ?? decimal, hex ? 16 : 10);
    if (code > 0x10ffff) throw new S3Error('MalformedXML');
    return String.fromCodePoint(code);
  });
}

/** The children of an element that bear a name. */
export function childrenOf(parent: XmlElement, name: string): XmlElement[] {
  return parent.children.filter((child) => child.name === name);
}

/** The text of the first child of that name, or undefined. */
export function childText(parent: XmlElement, name: string): string | undefined {
  return parent.children.find((child) => child.name === name)?.text;
}
