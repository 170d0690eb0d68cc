/** Resolves CloudFormation's intrinsic functions to local values. */
import type { Template } from './template.ts';

/** The values of the account in which the stack would be deployed. */
export interface LocalAccount {
  accountId: string;
  region: string;
  stackName: string;
  /** ARN of the stack; its last part is the id that marks what is ours at OpenAI. */
  stackId: string;
}

/** Says what `Ref` and `Fn::GetAtt` of a resource give. */
export interface ResourceValues {
  /** @throws when the template has no such resource */
  ref(logicalId: string): string;
  /** @throws when the attribute has no local value */
  attribute(logicalId: string, name: string): string;
  /** Output of another stack; `undefined`: there is none. @default there are no other stacks */
  outputOf?(stackName: string, outputName: string): unknown;
  /** What another stack exports; `undefined`: there is none. @default there are no other stacks */
  exported?(exportName: string): unknown;
}

/** Resolves every intrinsic in a value, at any depth. */
export type Resolve = (value: unknown) => unknown;

/** Marks `Ref: AWS::NoValue`: the property is left out. */
const NO_VALUE = Symbol('AWS::NoValue');

/**
 * Makes the resolver of one template.
 *
 * @throws (from the resolver) on an intrinsic or a reference that has no local meaning, naming it and its place
 */
export function createResolver(template: Template, account: LocalAccount, values: ResourceValues): Resolve {
  const resolver = new Resolver(template, account, values);
  return (value) => resolver.resolve(value, 'template');
}

class Resolver {
  readonly #template: Template;
  readonly #values: ResourceValues;
  readonly #pseudo: Readonly<Record<string, unknown>>;

  constructor(template: Template, account: LocalAccount, values: ResourceValues) {
    this.#template = template;
    this.#values = values;
    this.#pseudo = {
      'AWS::AccountId': account.accountId,
      'AWS::Region': account.region,
      'AWS::Partition': 'aws',
      'AWS::StackName': account.stackName,
      'AWS::StackId': account.stackId,
      'AWS::URLSuffix': 'amazonaws.com',
      'AWS::NoValue': NO_VALUE,
      'AWS::NotificationARNs': [],
    };
  }

  /** @param path where the value is, for messages */
  resolve(value: unknown, path: string): unknown {
    if (Array.isArray(value)) {
      return value
        .map((item, index) => this.resolve(item, `${path}[${index}]`))
        .filter((item) => item !== NO_VALUE);
    }
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value);
    const [name, argument] = entries[0] ?? [];
    if (entries.length === 1 && name !== undefined) {
      const intrinsic = Object.hasOwn(this.#functions, name) ? this.#functions[name] : undefined;
      // `Condition` is also the plain key of an IAM statement; a condition's name is always text.
      if (intrinsic !== undefined && (name !== 'Condition' || typeof argument === 'string')) {
        return intrinsic(argument, `${path} ${name}`);
      }
      if (name.startsWith('Fn::')) {
        throw new Error(
          `${path}: the intrinsic function ${name} is not known to the local stack ` +
            `(known: ${Object.keys(this.#functions).join(', ')}). Add it in local/stack/intrinsics.ts.`,
        );
      }
    }
    return Object.fromEntries(
      entries
        .map(([key, item]) => [key, this.resolve(item, `${path}.${key}`)] as const)
        .filter(([, item]) => item !== NO_VALUE),
    );
  }

  readonly #functions: Readonly<Record<string, (argument: unknown, path: string) => unknown>> = {
    Ref: (argument) => this.#ref(String(argument)),
    Condition: (argument) => this.#condition(String(argument)),
    'Fn::GetAtt': (argument) => this.#getAtt(argument),
    'Fn::Sub': (argument, path) => this.#sub(argument, path),
    'Fn::Join': (argument, path) => {
      const [delimiter, parts] = argument as [string, unknown];
      return (this.resolve(parts, path) as unknown[]).join(delimiter);
    },
    'Fn::Select': (argument, path) => {
      const [index, list] = this.resolve(argument, path) as [number | string, unknown[]];
      const item = list[Number(index)];
      if (item === undefined) throw new Error(`${path}: the list of ${list.length} has no item ${index}.`);
      return item;
    },
    'Fn::Split': (argument, path) => {
      const [delimiter, text] = this.resolve(argument, path) as [string, string];
      return text.split(delimiter);
    },
    'Fn::If': (argument, path) => {
      const [name, whenTrue, whenFalse] = argument as [string, unknown, unknown];
      return this.resolve(this.#condition(name) ? whenTrue : whenFalse, path);
    },
    'Fn::Equals': (argument, path) => {
      const [left, right] = this.resolve(argument, path) as [unknown, unknown];
      return left === right;
    },
    'Fn::Not': (argument, path) => (this.resolve(argument, path) as [boolean])[0] !== true,
    'Fn::And': (argument, path) => (this.resolve(argument, path) as boolean[]).every(Boolean),
    'Fn::Or': (argument, path) => (this.resolve(argument, path) as boolean[]).some(Boolean),
    'Fn::FindInMap': (argument, path) => {
      const [map, first, second] = this.resolve(argument, path) as [string, string, string];
      const value = this.#template.Mappings?.[map]?.[first]?.[second];
      if (value === undefined)
        throw new Error(`${path}: the mapping ${map}.${first}.${second} is not there.`);
      return value;
    },
    'Fn::GetStackOutput': (argument, path) => {
      const { StackName, OutputName } = this.resolve(argument, path) as Record<string, string>;
      return this.#values.outputOf?.(StackName!, OutputName!) ?? missing(path, `${StackName}.${OutputName}`);
    },
    'Fn::ImportValue': (argument, path) => {
      const name = String(this.resolve(argument, path));
      return this.#values.exported?.(name) ?? missing(path, name);
    },
  };

  #ref(name: string): unknown {
    if (Object.hasOwn(this.#pseudo, name)) return this.#pseudo[name];
    const parameter = this.#template.Parameters?.[name];
    if (parameter !== undefined) {
      if (parameter.Default !== undefined) return parameter.Default;
      throw new Error(`Parameter "${name}" has no default, and the local stack gives no parameters.`);
    }
    return this.#values.ref(name);
  }

  #getAtt(argument: unknown): string {
    const [logicalId, name] = Array.isArray(argument) ? argument : splitOnce(String(argument));
    return this.#values.attribute(String(logicalId), String(this.resolve(name, 'Fn::GetAtt')));
  }

  #sub(argument: unknown, path: string): string {
    const [text, variables] = Array.isArray(argument) ? argument : [argument, {}];
    return String(text).replace(/\$\{(!?)([^}]+)\}/g, (_match, literal: string, name: string) => {
      if (literal === '!') return `\${${name}}`;
      if (Object.hasOwn(variables as object, name)) {
        return String(this.resolve((variables as Record<string, unknown>)[name], path));
      }
      return String(name.includes('.') ? this.#getAtt(name) : this.#ref(name));
    });
  }

  #condition(name: string): boolean {
    const definition = this.#template.Conditions?.[name];
    if (definition === undefined) throw new Error(`The template has no condition "${name}".`);
    return this.resolve(definition, `Conditions.${name}`) === true;
  }
}

function missing(path: string, name: string): never {
  throw new Error(`${path}: no stack that this one depends on gives "${name}".`);
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf('.');
  return [text.slice(0, at), text.slice(at + 1)];
}
