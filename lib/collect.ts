import { Size } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { collectEnv, EnvVars } from '../src/contract/env.ts';
import {
  allowSweep,
  type ConsumerProps,
  commonEnvironment,
  consumerEnvironment,
  openaiEnvironment,
} from './environment.ts';
import { heapLimits, RESULTS_MEMORY_MB } from './heap.ts';
import { PipelineFunction } from './pipeline-function.ts';

/** Fetches the results of an ended batch, classifies each line and plans the next round. */
export class Collect extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: ConsumerProps) {
    super(scope, id);
    const { storage, apiKey, collectQueue } = props;
    const fn = new PipelineFunction(this, 'Function', {
      capability: 'collect',
      description: 'Fetches the results of an ended batch and plans its next round',
      memorySize: RESULTS_MEMORY_MB,
      // Results are sorted here; a few cents a million batches. Those beyond it are read from S3 again, line by line.
      ephemeralStorageSize: Size.gibibytes(10),
      timeout: collectQueue.consumerTimeout,
      continuesItself: true,
      logRetention: props.logRetention,
      reservedConcurrency: props.reservedConcurrency?.collect,
      layers: [props.settingsLayer],
      environment: {
        ...commonEnvironment('collect', props),
        ...openaiEnvironment(props),
        NODE_OPTIONS: heapLimits(RESULTS_MEMORY_MB),
        ...consumerEnvironment(props),
      } satisfies EnvVars<typeof collectEnv>,
    });
    this.fn = fn;
    storage.allowRead(fn, ['input', 'work']);
    storage.allowWrite(fn, ['work']);
    allowSweep(fn, props);
    apiKey.allowRead(fn);
    collectQueue.deliverTo(fn, 'maxConcurrency.collect', props.maxConcurrency);
  }
}
