import { Annotations } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { DEFAULT_API_KEY } from '../src/contract/api-key.ts';
import type { callEnv, EnvVars } from '../src/contract/env.ts';
import { isWindowTier, type Route } from '../src/contract/route.ts';
import type { Settings } from '../src/contract/settings.ts';
import { sendsWebhooks } from '../src/contract/webhooks.ts';
import { allowBatchWork, batchEnvironment, consumerFunctionProps } from './consumer.ts';
import type { ConsumerProps } from './environment.ts';
import { PipelineFunction } from './pipeline-function.ts';

/** Calls the requests of a slice one by one, in OpenAI's flex or standard tier, or has them answered in the background. */
export class Call extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: ConsumerProps) {
    super(scope, id);
    this.fn = new PipelineFunction(this, 'Function', {
      ...consumerFunctionProps('call', props.callQueue, props),
      description: 'Calls requests one by one, in flex or standard',
      // A slice of 32 MB, as bytes and as text, and its answers.
      memorySize: 1024,
      environment: {
        ...batchEnvironment('call', props),
      } satisfies EnvVars<typeof callEnv>,
    });
    allowBatchWork(this.fn, 'call', props);
    for (const route of props.settings.routes) this.#sayHowAnswersAreFound(route, props.settings);
  }

  /** Of responses that OpenAI keeps for minutes only: what finds them in time. */
  #sayHowAnswersAreFound(route: Route, { webhooks }: Pick<Settings, 'webhooks'>): void {
    if (route.responseRetention !== '10m' || !route.tiers.some(isWindowTier)) return;
    const apiKey = route.apiKey ?? DEFAULT_API_KEY;
    const found = sendsWebhooks(webhooks, apiKey)
      ? 'webhooks tell of them, and they are looked at every 4 minutes, because one that is lost would lose an answer'
      : 'they are looked at every 4 minutes, because "webhooks.apiKeys" does not name its key';
    Annotations.of(this).addInfoV2(
      `batchdrop:short-retention-${route.name}`,
      `Route "${route.name}" with API key "${apiKey}": OpenAI keeps responses in the background for 10 minutes after they have ended; ${found}.`,
    );
  }
}
