import { onTestFinished } from 'vitest';
import { type Pipeline, type PipelineOptions, startPipeline } from './pipeline.ts';

/** Starts a pipeline that is stopped when the test which calls this has finished. */
export async function startTestPipeline(options?: PipelineOptions): Promise<Pipeline> {
  const p = await startPipeline(options);
  onTestFinished(() => p.stop());
  return p;
}
