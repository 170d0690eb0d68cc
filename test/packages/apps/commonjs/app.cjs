/** An app in plain JavaScript, as CommonJS. */
const { App, CfnOutput, Duration, Stack } = require('aws-cdk-lib');
const { BatchPipeline, InvalidConfigurationError, PipelineStack } = require('batchdrop');

const settings = {
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

const app = new App();
const stack = new Stack(app, 'Own');
const props = { settings, pollInterval: Duration.minutes(1), alarms: false };
const pipeline = new BatchPipeline(stack, 'Pipeline', props);
new CfnOutput(stack, 'Bucket', { value: pipeline.storage.bucket.bucketName });
new PipelineStack(app, 'Whole');

try {
  new BatchPipeline(new Stack(app, 'Refused'), 'Pipeline', { pollInterval: Duration.minutes(61) });
  throw new Error('an interval of 61 minutes was taken');
} catch (error) {
  if (!(error instanceof InvalidConfigurationError)) throw error;
}
