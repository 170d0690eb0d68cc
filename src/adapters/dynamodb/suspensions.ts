import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { PARTITIONS, TABLE_PARTITION_KEY, TABLE_SORT_KEY } from '../../contract/table.ts';
import type { Suspension, SuspensionProof } from '../../core/model/suspension.ts';
import type { SuspensionStore } from '../../core/ports/quota.ts';
import { lifted, probed, suspended } from '../../core/scheduling/suspensions.ts';
import { DynamoDBItems, type Item, type Key } from './items.ts';
import { readSuspension } from './record-schemas.ts';

const SORT_KEY_PREFIX = 'SUSPENSION#';
const ofKey = (apiKey: string): string => `${PARTITIONS.suspension}${apiKey}`;
/** Those of one API key are together. A scope begins with its name, which holds no slash. */
const suspensionKey = (scope: string): Key => ({
  pk: ofKey(scope.split('/', 1)[0]!),
  sk: `${SORT_KEY_PREFIX}${scope}`,
});

/** {@link SuspensionStore} on the table. */
export class DynamoDBSuspensions implements SuspensionStore {
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#items = new DynamoDBItems(client, names);
  }

  async getSuspension(scope: string): Promise<Suspension | undefined> {
    const suspension = this.#read(await this.#items.get(suspensionKey(scope)));
    return suspension?.isSuspended ? suspension : undefined;
  }

  async getSuspensions(apiKey: string): Promise<Suspension[]> {
    const suspensions: Suspension[] = [];
    const items = this.#items.query({
      KeyConditionExpression: '#pk = :pk AND begins_with(#sk, :prefix)',
      ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY, '#sk': TABLE_SORT_KEY },
      ExpressionAttributeValues: { ':pk': ofKey(apiKey), ':prefix': SORT_KEY_PREFIX },
      ConsistentRead: true,
    });
    for await (const item of items) {
      const suspension = this.#read(item)!;
      if (suspension.isSuspended) suspensions.push(suspension);
    }
    return suspensions;
  }

  async suspend(scope: string, reason: string, provenBy: SuspensionProof, now: number): Promise<void> {
    await this.#change(scope, (current) => suspended(current, scope, reason, provenBy, now));
  }

  takeProbe(scope: string, now: number): Promise<boolean> {
    return this.#change(scope, (current) => probed(current, now));
  }

  lift(scope: string, proof: SuspensionProof, now: number): Promise<boolean> {
    return this.#change(scope, (current) => lifted(current, proof, now));
  }

  async #change(
    scope: string,
    rule: (current: Suspension | undefined) => Suspension | undefined,
  ): Promise<boolean> {
    const item = await this.#items.change(suspensionKey(scope), (current) => {
      const suspension = rule(this.#read(current));
      return suspension === undefined ? undefined : { ...suspension };
    });
    return item !== undefined;
  }

  #read(item: Item | undefined): Suspension | undefined {
    return item === undefined ? undefined : readSuspension(item, this.#items.nameOf(item));
  }
}
