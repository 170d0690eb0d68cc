/** Reads what `cdk synth` wrote: the template of one stack and the folders of its assets. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** A resource of the template, intrinsics unresolved. */
export interface TemplateResource {
  Type: string;
  Properties?: Record<string, unknown>;
  Condition?: string;
  Metadata?: Record<string, unknown>;
}

/** What is read of a CloudFormation template. */
export interface Template {
  Resources: Record<string, TemplateResource>;
  Parameters?: Record<string, { Type: string; Default?: unknown }>;
  Conditions?: Record<string, unknown>;
  Mappings?: Record<string, Record<string, Record<string, unknown>>>;
  Outputs?: Record<string, { Value: unknown; Export?: { Name: unknown } }>;
}

/** One synthesized stack. */
export interface SynthesizedStack {
  stackName: string;
  template: Template;
  /** Stacks of the assembly that are deployed before it. */
  dependencies: readonly SynthesizedStack[];
  /**
   * Folder of the asset that would be uploaded under this object key.
   *
   * @throws when the assembly has no such asset
   */
  assetFolder(objectKey: string): string;
}

interface Manifest {
  artifacts?: Record<
    string,
    {
      type: string;
      properties?: { templateFile?: string; stackName?: string; directoryName?: string };
      dependencies?: string[];
    }
  >;
}

interface AssetManifest {
  files?: Record<string, { source: { path?: string }; destinations: Record<string, { objectKey: string }> }>;
}

/**
 * Loads a stack from a cloud assembly, with the stages inside it.
 *
 * @param cdkOut folder that `cdk synth` wrote; a relative path is taken from where this process runs
 * @param stackName needed when there are several stacks
 * @throws when the folder is not an assembly or does not say which stack is meant
 */
export function loadStack(cdkOut: string, stackName?: string): SynthesizedStack {
  // Functions run in folders of their own, where a relative path would name something else.
  const folder = resolve(cdkOut);
  const stacks = listStacks(folder);
  const wanted = stackName === undefined ? stacks : stacks.filter((stack) => stack.stackName === stackName);
  const [only, ...others] = wanted;
  if (only !== undefined && others.length === 0) return only;
  const names = stacks.map((stack) => stack.stackName).join(', ') || 'none';
  throw new Error(
    `${folder} holds ${wanted.length} stacks${stackName === undefined ? '' : ` named "${stackName}"`} ` +
      `(all: ${names}); exactly one is needed.`,
  );
}

function listStacks(folder: string): SynthesizedStack[] {
  const manifestFile = join(folder, 'manifest.json');
  if (!existsSync(manifestFile)) {
    throw new Error(
      `${manifestFile} is missing: ${folder} is not what "cdk synth" writes. Run "npx cdk synth" first.`,
    );
  }
  const manifest: Manifest = readJson(manifestFile);
  const stacks: SynthesizedStack[] = [];
  const byId = new Map<string, SynthesizedStack>();
  const assets = new Map<string, string>();
  for (const [id, { type, properties, dependencies = [] }] of Object.entries(manifest.artifacts ?? {})) {
    if (type === 'cdk:cloud-assembly' && properties?.directoryName !== undefined) {
      stacks.push(...listStacks(join(folder, properties.directoryName)));
    }
    if (type === 'cdk:asset-manifest') {
      const { files = {} }: AssetManifest = readJson(join(folder, `${id}.json`));
      for (const { source, destinations } of Object.values(files)) {
        if (source.path === undefined) continue;
        for (const { objectKey } of Object.values(destinations)) {
          assets.set(objectKey, join(folder, source.path));
        }
      }
    }
    if (type === 'aws:cloudformation:stack' && properties?.templateFile !== undefined) {
      const stack: SynthesizedStack = {
        stackName: properties.stackName ?? id,
        template: readJson(join(folder, properties.templateFile)),
        get dependencies() {
          return dependencies.flatMap((each) => byId.get(each) ?? []);
        },
        assetFolder(objectKey) {
          const path = assets.get(objectKey);
          if (path !== undefined && existsSync(path)) return path;
          throw new Error(
            `The assembly in ${folder} has no asset "${objectKey}". Run "npx cdk synth" again.`,
          );
        },
      };
      byId.set(id, stack);
      stacks.push(stack);
    }
  }
  return stacks;
}

function readJson<Content>(file: string): Content {
  return JSON.parse(readFileSync(file, 'utf8'));
}
