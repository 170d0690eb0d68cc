import type { Suspension, SuspensionProof } from '../../../src/core/model/suspension.ts';
import type { SuspensionStore } from '../../../src/core/ports/quota.ts';
import { lifted, probed, suspended } from '../../../src/core/scheduling/suspensions.ts';
import { plainCopy } from '../plain-copy.ts';

/** {@link SuspensionStore} in memory. */
export class MemorySuspensions implements SuspensionStore {
  readonly #suspensions = new Map<string, Suspension>();

  async getSuspension(scope: string): Promise<Suspension | undefined> {
    const suspension = this.#suspensions.get(scope);
    return suspension?.isSuspended ? { ...suspension } : undefined;
  }

  async getSuspensions(apiKey: string): Promise<Suspension[]> {
    const ofKey = [...this.#suspensions.values()].filter(({ scope }) => scope.split('/', 1)[0] === apiKey);
    return plainCopy(ofKey.filter(({ isSuspended }) => isSuspended));
  }

  async suspend(scope: string, reason: string, provenBy: SuspensionProof, now: number): Promise<void> {
    this.#suspensions.set(scope, suspended(this.#suspensions.get(scope), scope, reason, provenBy, now));
  }

  async takeProbe(scope: string, now: number): Promise<boolean> {
    return this.#replace(scope, probed(this.#suspensions.get(scope), now));
  }

  async lift(scope: string, proof: SuspensionProof, now: number): Promise<boolean> {
    return this.#replace(scope, lifted(this.#suspensions.get(scope), proof, now));
  }

  #replace(scope: string, suspension: Suspension | undefined): boolean {
    if (suspension !== undefined) this.#suspensions.set(scope, suspension);
    return suspension !== undefined;
  }
}
