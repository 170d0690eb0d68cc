import { Size } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { collectEnv, EnvVars } from '../src/contract/env.ts';
import { allowBatchWork, batchEnvironment, consumerFunctionProps } from './consumer.ts';
import type { ConsumerProps } from './environment.ts';
import { heapLimits, RESULTS_MEMORY_MB } from './heap.ts';
import { PipelineFunction } from './pipeline-function.ts';

/** Fetches the results of an ended batch, classifies each line and plans the next round. */
export class Collect extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: ConsumerProps) {
    super(scope, id);
    this.fn = new PipelineFunction(this, 'Function', {
      ...consumerFunctionProps('collect', props.collectQueue, props),
      description: 'Fetches the results of an ended batch and plans its next round',
      memorySize: RESULTS_MEMORY_MB,
      // Results are sorted here; a few cents a million batches. Those beyond it are read from S3 again, line by line.
      ephemeralStorageSize: Size.gibibytes(10),
      environment: {
        ...batchEnvironment('collect', props),
        NODE_OPTIONS: heapLimits(RESULTS_MEMORY_MB),
      } satisfies EnvVars<typeof collectEnv>,
    });
    allowBatchWork(this.fn, 'collect', props);
  }
}
