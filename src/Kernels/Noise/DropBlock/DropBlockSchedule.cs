namespace Kernels;

/// <summary>
/// The schedule of the DropBlock paper: the keep probability falls linearly from 1 (or <see cref="InitialDropProbability"/> below it) to
/// its target, then stays.
/// </summary>
/// <param name="FinalDropProbability">The drop probability at the end of the ramp.</param>
/// <param name="Steps">Training steps of the ramp; with 0 the target holds from <see cref="FirstStep"/> on.</param>
public readonly record struct DropBlockSchedule(double FinalDropProbability, long Steps)
{
    /// <summary>The drop probability before the ramp.</summary>
    public double InitialDropProbability { get; init; }

    /// <summary>The step at which the ramp starts.</summary>
    public long FirstStep { get; init; }

    /// <summary>1 minus the drop probability of a step.</summary>
    public double KeepProbability(long step) => 1 - DropProbability(step);

    /// <summary>The drop probability of a step, counted from 0.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A probability is outside [0, 1], or the ramp has less than 0 steps.</exception>
    public double DropProbability(long step)
    {
        Check(FinalDropProbability, nameof(FinalDropProbability));
        Check(InitialDropProbability, nameof(InitialDropProbability));
        if (Steps < 0) throw new ArgumentOutOfRangeException(nameof(Steps), Steps, "DropBlockSchedule: a ramp has at least 0 steps.");
        if (step < FirstStep) return InitialDropProbability;
        // Up to 2^64 steps, modulo 2^64.
        ulong done = unchecked((ulong)step - (ulong)FirstStep);
        double progress = done >= (ulong)Steps ? 1 : (double)done / Steps;
        return InitialDropProbability + (progress * (FinalDropProbability - InitialDropProbability));

        static void Check(double probability, string name)
        {
            if (!(probability is >= 0 and <= 1))
                throw new ArgumentOutOfRangeException(name, probability, $"DropBlockSchedule: {name} lies in [0, 1].");
        }
    }
}
