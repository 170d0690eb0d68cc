/** The package `batchdrop-local`: a synthesized stack on this machine. */
export type { LocalEndpoints, LocalResources, LocalStack } from './stack/local-stack.ts';
export type { FunctionOverrides, LocalStackOptions, ObservedCall } from './stack/options.ts';
export {
  type JobRecords,
  type LocalPipeline,
  type LocalPipelineOptions,
  startLocalPipeline,
} from './stack/pipeline.ts';
export { startLocalStack } from './stack/start.ts';
export { openStoppedStack, type StoppedStack } from './stack/stopped-stack.ts';
