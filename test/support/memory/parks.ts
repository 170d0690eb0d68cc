import type { Park, ParkProof } from '../../../src/core/model/park.ts';
import type { ParkStore } from '../../../src/core/ports/quota.ts';
import { parked, probed, unparked } from '../../../src/core/scheduling/parks.ts';

/** {@link ParkStore} in memory. */
export class MemoryParks implements ParkStore {
  readonly #parks = new Map<string, Park>();

  async getPark(scope: string): Promise<Park | undefined> {
    const park = this.#parks.get(scope);
    return park?.isParked ? { ...park } : undefined;
  }

  async getParks(apiKey: string): Promise<Park[]> {
    const ofKey = [...this.#parks.values()].filter(({ scope }) => scope.split('/', 1)[0] === apiKey);
    return structuredClone(ofKey.filter(({ isParked }) => isParked));
  }

  async park(scope: string, reason: string, provenBy: ParkProof, now: number): Promise<void> {
    this.#parks.set(scope, parked(this.#parks.get(scope), scope, reason, provenBy, now));
  }

  async takeProbe(scope: string, now: number): Promise<boolean> {
    return this.#replace(scope, probed(this.#parks.get(scope), now));
  }

  async unpark(scope: string, proof: ParkProof, now: number): Promise<boolean> {
    return this.#replace(scope, unparked(this.#parks.get(scope), proof, now));
  }

  #replace(scope: string, park: Park | undefined): boolean {
    if (park !== undefined) this.#parks.set(scope, park);
    return park !== undefined;
  }
}
