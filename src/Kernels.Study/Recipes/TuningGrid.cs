namespace Kernels.Study;

/// <summary>A number of a recipe that is tuned: the one that it comes with, and all that are tried.</summary>
internal sealed record TunedNumber(string Name, double Chosen, params IReadOnlyList<double> Tried);

/// <summary>
/// The settings of a recipe that a tuning tries, all combinations of its tuned numbers: as many for each recipe. It chooses the one with
/// the highest accuracy on images of the training file that no run uses, a mean over seeds that no study uses; of equal ones the lower
/// loss.
/// What the program comes with was chosen so where <c>bench/results/study-nvidia-h100.md</c> says it, and is usual in papers elsewhere.
/// </summary>
internal sealed class TuningGrid
{
    private readonly IReadOnlyList<TunedNumber> _numbers;
    private readonly Func<IReadOnlyList<double>, Recipe> _build;

    private TuningGrid(IReadOnlyList<TunedNumber> numbers, Func<IReadOnlyList<double>, Recipe> build)
    {
        (_numbers, _build) = (numbers, build);
        Settings = Combinations([], 0);
    }

    /// <summary>The recipe with each setting.</summary>
    public IReadOnlyList<Recipe> Settings { get; }

    /// <summary>A recipe with what was chosen for it.</summary>
    public static Recipe Tuned(Func<IReadOnlyList<double>, Recipe> build, params IReadOnlyList<TunedNumber> numbers)
    {
        TuningGrid grid = new(numbers, build);
        return grid.Setting([.. numbers.Select(number => number.Chosen)]) with { Grid = grid };
    }

    private IReadOnlyList<Recipe> Combinations(IReadOnlyList<double> first, int place) => place == _numbers.Count
        ? [Setting(first)]
        : [.. _numbers[place].Tried.SelectMany(value => Combinations([.. first, value], place + 1))];

    private Recipe Setting(IReadOnlyList<double> values) => _build(values) with
    {
        Setting = string.Join(", ", _numbers.Zip(values, (number, value) => $"{number.Name} {value:0.######}")),
    };
}
