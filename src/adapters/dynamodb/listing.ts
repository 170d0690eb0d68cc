import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { PARTITIONS } from '../../contract/table.ts';
import type { InputListing } from '../../core/model/input-listing.ts';
import type { ListingStore } from '../../core/ports/records.ts';
import { DynamoDBItems, type Key } from './items.ts';
import { readListing } from './record-schemas.ts';

const LISTING_KEY: Key = { pk: PARTITIONS.listing, sk: 'LISTING' };

/** {@link ListingStore} on the table. */
export class DynamoDBListing implements ListingStore {
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#items = new DynamoDBItems(client, names);
  }

  async getListing(): Promise<InputListing | undefined> {
    const item = await this.#items.get(LISTING_KEY);
    return item === undefined ? undefined : readListing(item, this.#items.nameOf(item));
  }

  async putListing(next: InputListing): Promise<boolean> {
    const written = await this.#items.change(LISTING_KEY, (current) =>
      // What is left out of the record is to be removed from the item.
      next.generation === ((current?.generation as number | undefined) ?? 0) + 1
        ? { pass: undefined, ...next }
        : undefined,
    );
    return written !== undefined;
  }
}
