import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { TABLE_PARTITION_KEY, TABLE_SORT_KEY } from '../../contract/table.ts';
import type { Park, ParkProof } from '../../core/model/park.ts';
import type { ParkStore } from '../../core/ports/quota.ts';
import { parked, probed, unparked } from '../../core/scheduling/parks.ts';
import { DynamoDBItems, type Item, type Key } from './items.ts';
import { readPark } from './record-schemas.ts';

const SORT_KEY_PREFIX = 'PARK#';
const ofKey = (apiKey: string): string => `PARK#${apiKey}`;
/** Those of one API key are together. A scope begins with its name, which holds no slash. */
const parkKey = (scope: string): Key => ({
  pk: ofKey(scope.split('/', 1)[0]!),
  sk: `${SORT_KEY_PREFIX}${scope}`,
});

/** {@link ParkStore} on the table. */
export class DynamoDBParks implements ParkStore {
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#items = new DynamoDBItems(client, names);
  }

  async getPark(scope: string): Promise<Park | undefined> {
    const park = this.#read(await this.#items.get(parkKey(scope)));
    return park?.isParked ? park : undefined;
  }

  async getParks(apiKey: string): Promise<Park[]> {
    const parks: Park[] = [];
    const items = this.#items.query({
      KeyConditionExpression: '#pk = :pk AND begins_with(#sk, :prefix)',
      ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY, '#sk': TABLE_SORT_KEY },
      ExpressionAttributeValues: { ':pk': ofKey(apiKey), ':prefix': SORT_KEY_PREFIX },
      ConsistentRead: true,
    });
    for await (const item of items) {
      const park = this.#read(item)!;
      if (park.isParked) parks.push(park);
    }
    return parks;
  }

  async park(scope: string, reason: string, provenBy: ParkProof, now: number): Promise<void> {
    await this.#change(scope, (standing) => parked(standing, scope, reason, provenBy, now));
  }

  takeProbe(scope: string, now: number): Promise<boolean> {
    return this.#change(scope, (standing) => probed(standing, now));
  }

  unpark(scope: string, proof: ParkProof, now: number): Promise<boolean> {
    return this.#change(scope, (standing) => unparked(standing, proof, now));
  }

  async #change(scope: string, rule: (standing: Park | undefined) => Park | undefined): Promise<boolean> {
    const item = await this.#items.change(parkKey(scope), (standing) => {
      const park = rule(this.#read(standing));
      return park === undefined ? undefined : { ...park };
    });
    return item !== undefined;
  }

  #read(item: Item | undefined): Park | undefined {
    return item === undefined ? undefined : readPark(item, this.#items.nameOf(item));
  }
}
