import type { Tombstone } from '../../../src/core/model/tombstone.ts';
import type { JobGraves, LatestJob, Publication } from '../../../src/core/ports/records.ts';
import type { MemoryJobs } from './jobs.ts';

/** {@link JobGraves} in memory. */
export class MemoryGraves implements JobGraves {
  readonly #jobs: MemoryJobs;
  readonly #tombstones = new Map<string, Tombstone>();

  constructor(jobs: MemoryJobs) {
    this.#jobs = jobs;
  }

  async getTombstone(jobId: string): Promise<Tombstone | undefined> {
    return structuredClone(this.#tombstones.get(jobId));
  }

  async bury(tombstone: Tombstone): Promise<void> {
    this.#jobs.deleteJob(tombstone.jobId);
    this.#tombstones.set(tombstone.jobId, structuredClone(tombstone));
  }

  async forgetPublication(publication: Publication): Promise<boolean> {
    return this.#jobs.forgetPublication(publication);
  }

  async forgetLatest(key: string, job: LatestJob): Promise<void> {
    this.#jobs.forgetLatest(key, job);
  }
}
