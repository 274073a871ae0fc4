import { describe, expect, it } from '@jest/globals';
import { AppError, describeError } from '../../../src/model/errors.ts';

describe('errors', () => {
  it('carry the exit status of their code', () => {
    expect(new AppError('LOCK_BUSY', 'busy').exitStatus).toBe(75);
  });

  it('are described with their chain of causes', () => {
    const cause = new Error('EACCES');
    expect(describeError(new AppError('LOG', 'can not write', cause))).toBe(
      'can not write: EACCES',
    );
  });

  it('do not repeat a text that their cause repeats', () => {
    const cause = new AppError('FIREWALL', 'nft exited with status 1');
    const error = new AppError('FIREWALL', '203.0.113.9: nft exited with status 1', cause);
    expect(describeError(error)).toBe('203.0.113.9: nft exited with status 1');
  });
});
