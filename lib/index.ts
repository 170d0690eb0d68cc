/** The package `batchdrop`: constructs of a pipeline, and the types of what they take and of what a pipeline writes. */
export type { JobCompleted } from '../src/contract/messages.ts';
export type { Receipt } from '../src/contract/receipt.ts';
export type { Settings } from '../src/contract/settings.ts';
export type { AlarmOptions } from './alarms.ts';
export type { ApiKey } from './api-key.ts';
export { type Adopted, BatchPipeline, type BatchPipelineProps } from './batch-pipeline.ts';
export { InvalidConfigurationError, type RouteInput, type SettingsInput } from './configuration.ts';
export type { Droppers } from './droppers.ts';
export type { ReservedConcurrency } from './environment.ts';
export type { Operate } from './operate.ts';
export type { OperatorPolicy, ViewerPolicy } from './operator-policies.ts';
export { PipelineStack, type PipelineStackProps } from './pipeline-stack.ts';
export type { NetworkProps } from './platform.ts';
export type { Retention } from './retention.ts';
export type { State } from './state.ts';
export type { Storage } from './storage.ts';
export type { Webhook } from './webhook.ts';
export type { WorkQueue } from './work-queue.ts';
