import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { PARTITIONS } from '../../contract/table.ts';
import type { KeptShutdowns } from '../../core/model/shutdown.ts';
import type { ShutdownStore } from '../../core/ports/records.ts';
import { DynamoDBItems, type Key } from './items.ts';
import { readShutdowns } from './record-schemas.ts';

const shutdownsKey = (apiKey: string): Key => ({ pk: `${PARTITIONS.shutdowns}${apiKey}`, sk: 'SHUTDOWNS' });

/** {@link ShutdownStore} on the table. */
export class DynamoDBShutdowns implements ShutdownStore {
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#items = new DynamoDBItems(client, names);
  }

  async getShutdowns(apiKey: string): Promise<KeptShutdowns | undefined> {
    const item = await this.#items.get(shutdownsKey(apiKey));
    return item === undefined ? undefined : readShutdowns(item, this.#items.nameOf(item));
  }

  async putShutdowns(next: KeptShutdowns): Promise<boolean> {
    const written = await this.#items.change(shutdownsKey(next.apiKey), (current) =>
      next.generation === ((current?.generation as number | undefined) ?? 0) + 1 ? { ...next } : undefined,
    );
    return written !== undefined;
  }
}
