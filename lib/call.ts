import { Construct } from 'constructs';
import type { callEnv, EnvVars } from '../src/contract/env.ts';
import { allowBatchWork, batchEnvironment, consumerFunctionProps } from './consumer.ts';
import type { ConsumerProps } from './environment.ts';
import { PipelineFunction } from './pipeline-function.ts';

/** Calls the requests of a slice one by one, in OpenAI's flex or standard tier. */
export class Call extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: ConsumerProps) {
    super(scope, id);
    this.fn = new PipelineFunction(this, 'Function', {
      ...consumerFunctionProps('call', props),
      description: 'Calls requests one by one, in flex or standard',
      // A slice of 32 MB, as bytes and as text, and its answers.
      memorySize: 1024,
      environment: {
        ...batchEnvironment('call', props),
      } satisfies EnvVars<typeof callEnv>,
    });
    allowBatchWork(this.fn, 'call', props);
  }
}
