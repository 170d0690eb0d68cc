/** An app of TypeScript that knows the package alone: compiled as an ES module and as CommonJS. */
import { App, CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import {
  BatchPipeline,
  type BatchPipelineProps,
  InvalidConfigurationError,
  type JobCompleted,
  PipelineStack,
  type Receipt,
  type SettingsInput,
} from 'batchdrop';

const settings: SettingsInput = {
  routes: [
    {
      name: 'nightly',
      prefix: 'input/',
      tiers: ['batch', 'standard'],
      deadline: Duration.hours(12),
      budget: 'unlimited',
    },
  ],
};
const props: BatchPipelineProps = { settings, pollInterval: Duration.minutes(1), alarms: false };

const app = new App();
const stack = new Stack(app, 'Own');
const pipeline: BatchPipeline = new BatchPipeline(stack, 'Pipeline', props);
new CfnOutput(stack, 'Bucket', { value: pipeline.storage.bucket.bucketName });
new PipelineStack(app, 'Whole');

try {
  new BatchPipeline(new Stack(app, 'Refused'), 'Pipeline', { pollInterval: Duration.minutes(61) });
  throw new Error('an interval of 61 minutes was taken');
} catch (error) {
  if (!(error instanceof InvalidConfigurationError)) throw error;
}

/** What a function that gets events does with them: the types are there. */
export const costOf = (event: JobCompleted, receipt: Receipt): string =>
  `${event.jobId} ${receipt.counts.succeeded} ${receipt.cost.usd}`;
