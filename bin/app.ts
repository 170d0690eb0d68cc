/** Entry of the CDK app; `cdk.json` names it. */
import { InvalidConfigurationError } from '../lib/configuration.ts';
import { createApp } from './create-app.ts';

try {
  createApp().synth();
} catch (error) {
  if (!(error instanceof InvalidConfigurationError)) throw error;
  // The person who reads this fixes their configuration: a stack trace would only hide the message.
  console.error(`batchdrop: ${error.message}`);
  process.exitCode = 1;
}
