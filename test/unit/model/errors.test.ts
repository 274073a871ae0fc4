import { describe, expect, it } from '@jest/globals';
import { AppError, describeError } from '../../../src/model/errors.ts';

describe('errors', () => {
  it('carry the exit status of their code', () => {
    expect(new AppError('LOCK_BUSY', 'busy').exitStatus).toBe(75);
  });

  it('are described with their whole chain of causes', () => {
    const cause = new Error('EACCES');
    expect(describeError(new AppError('LOG', 'can not write', cause))).toBe(
      'can not write: EACCES',
    );
  });
});
