/** What is known of responses in the background that could not be read. */
import { expect, it } from 'vitest';
import { UnreadResponses } from '../../../../../src/core/steps/call/unread.ts';

const ID = 'resp_1';

type Objects = ConstructorParameters<typeof UnreadResponses>[0];

/** As much of a bucket as is asked for: one object a key. */
function newObjects(): Objects {
  const bodies = new Map<string, Uint8Array>();
  return {
    get: async (key) => bodies.get(key),
    put: async (key, body) => {
      bodies.set(key, body);
      return true;
    },
  };
}

function newUnread(objects = newObjects()): UnreadResponses {
  return new UnreadResponses(objects, { unread: 'work/job-1/calls/0-00000/unread.json' });
}

it('remembers since when a response is missing or unreadable, until it is found', () => {
  const unread = newUnread();
  unread.missing(ID, 1);
  unread.missing(ID, 2);
  expect(unread.of(ID)).toEqual({ missingSince: 1 });
  unread.unreadable(ID, 3);
  unread.unreadable(ID, 4);
  expect(unread.of(ID)).toEqual({ missingSince: 1, unreadableSince: 3 });
  unread.missing(ID, 5);
  expect(unread.of(ID)).toEqual({ missingSince: 1 });
  unread.found(ID);
  expect(unread.of(ID)).toEqual({});
});

it('does not call a response missing that was there in a state that nobody knows: one 404 after that is the first', () => {
  const unread = newUnread();
  unread.missing(ID, 1);
  unread.notUnderstood(ID, 2);
  unread.notUnderstood(ID, 3);
  expect(unread.of(ID)).toEqual({ unreadableSince: 2 });
  unread.missing(ID, 4);
  expect(unread.of(ID)).toEqual({ missingSince: 4 });
});

it('is taken up by the next worker as it was kept', async () => {
  const objects = newObjects();
  const unread = newUnread(objects);
  unread.notUnderstood(ID, 2);
  await unread.keep();
  const next = newUnread(objects);
  await next.load();
  expect(next.of(ID)).toEqual({ unreadableSince: 2 });
});
