/** Entry of the CDK app in the package `batchdrop-local`: without cdk-nag, which judges what is deployed. */
import { createApp, synthesize } from './create-app.ts';

synthesize(createApp);
