/** Synthesizes a pipeline in memory and reads the template the way a reviewer does. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { BatchPipeline, type BatchPipelineProps } from '../../lib/batch-pipeline.ts';
import type { Capability } from '../../lib/pipeline-function.ts';
import { workerFolder } from './worker-folder.ts';

/** A resource of a template. */
export interface Resource {
  readonly Type: string;
  readonly DeletionPolicy?: string;
  // biome-ignore lint/suspicious/noExplicitAny: a template is what CDK wrote, read by path
  readonly Properties: any;
}

/** What `cdk.json` sets for a real synth, and no bundling: bundles have a test of their own. */
export const TEST_CONTEXT: Readonly<Record<string, unknown>> = {
  ...JSON.parse(readFileSync(new URL('../../cdk.json', import.meta.url), 'utf8')).context,
  'aws:cdk:bundling-stacks': [],
};

const folder = workerFolder('batchdrop-synth-');

/** An app as `cdk` would run it. @param outdir where it writes; default: a folder that goes when the test worker ends. */
export function newApp(outdir: string = mkdtempSync(join(folder, 'app-'))): App {
  return new App({ context: { ...TEST_CONTEXT }, outdir });
}

let plain: Template | undefined;

/** A pipeline in a stack of its own. The one without props is synthesized once for all test files of a worker. */
export function synthesize(props?: BatchPipelineProps): Template {
  if (props !== undefined) return synthesizeWith(props);
  plain ??= synthesizeWith({});
  return plain;
}

function synthesizeWith(props: BatchPipelineProps): Template {
  const stack = new Stack(newApp(), 'Test');
  new BatchPipeline(stack, 'Pipeline', props);
  return Template.fromStack(stack);
}

/** All resources of a type, by logical id. */
export function resourcesOf(template: Template, type: string): Record<string, Resource> {
  return template.findResources(type) as Record<string, Resource>;
}

/** The only resource of a type. */
export function onlyResource(template: Template, type: string): Resource {
  const found = Object.values(resourcesOf(template, type));
  if (found.length !== 1)
    throw new Error(`the template has ${found.length} resources of type ${type}, not one`);
  return found[0]!;
}

/** The function of a capability, with its logical id. */
export function functionOf(template: Template, capability: Capability): [logicalId: string, fn: Resource] {
  const found = Object.entries(resourcesOf(template, 'AWS::Lambda::Function')).filter(
    ([, { Properties }]) => Properties.Environment.Variables.POWERTOOLS_SERVICE_NAME === capability,
  );
  if (found.length !== 1) throw new Error(`${found.length} functions are named ${capability}`);
  return found[0]!;
}

interface Statement {
  Action: string | string[];
  Resource: unknown;
  Condition?: object;
}

/** What a role allows: for each action its resources and, in braces, its conditions; sorted. */
export function permissionsOf(template: Template, capability: Capability): Record<string, string[]> {
  const roleId = functionOf(template, capability)[1].Properties.Role['Fn::GetAtt'][0];
  const policies = Object.values(resourcesOf(template, 'AWS::IAM::Policy')).filter(({ Properties }) =>
    Properties.Roles.some((role: { Ref: string }) => role.Ref === roleId),
  );
  return permissionsIn(policies.flatMap(({ Properties }) => Properties.PolicyDocument.Statement));
}

/** The same of a managed policy, by the beginning of its construct's id. */
export function permissionsOfManaged(template: Template, name: 'Viewer' | 'Operator') {
  const found = Object.entries(resourcesOf(template, 'AWS::IAM::ManagedPolicy')).filter(([id]) =>
    id.includes(`${name}Policy`),
  );
  return permissionsIn(found.flatMap(([, { Properties }]) => Properties.PolicyDocument.Statement));
}

function permissionsIn(statements: readonly Statement[]): Record<string, string[]> {
  const permissions: Record<string, string[]> = {};
  for (const { Action, Resource, Condition } of statements) {
    for (const action of [Action].flat()) {
      for (const resource of [Resource].flat()) {
        const condition = Condition === undefined ? '' : ` ${JSON.stringify(Condition)}`;
        permissions[action] ??= [];
        permissions[action].push(`${nameOf(resource)}${condition}`);
      }
    }
  }
  for (const resources of Object.values(permissions)) resources.sort();
  return permissions;
}

/** Keeps of a logical id what a person reads: `PipelineIngestQueueA654F4E2` becomes `IngestQueue`. */
export function nameOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const node = value as { Ref?: string; 'Fn::GetAtt'?: [string, string]; 'Fn::Join'?: [string, unknown[]] };
  if (node['Fn::Join'] !== undefined) return node['Fn::Join'][1].map(nameOf).join(node['Fn::Join'][0]);
  if (JSON.stringify(value).startsWith('{"Fn::Select":[2,{"Fn::Split":["/",{"Ref":"AWS::StackId"}'))
    return '<stack uuid>';
  const id = node['Fn::GetAtt']?.[0] ?? node.Ref ?? '';
  return id.startsWith('AWS::') ? `<${id}>` : id.replace(/^Pipeline/, '').replace(/[0-9A-F]{8}$/, '');
}
