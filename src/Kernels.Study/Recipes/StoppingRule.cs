namespace Kernels.Study;

/// <summary>The metric that early stopping watches on the validation images.</summary>
internal enum StoppingMetric
{
    Loss,
    Accuracy,
}

/// <summary>
/// Ends training when the mean of a validation metric over the last <paramref name="Window"/> epochs has not improved for
/// <paramref name="Patience"/> epochs.
/// </summary>
internal sealed record StoppingRule(StoppingMetric Metric, int Window, int Patience)
{
    public string Description
    {
        get
        {
            (string name, string improved) = Metric == StoppingMetric.Loss ? ("loss", "fallen") : ("accuracy", "risen");
            return
                $"Early stopping: after each epoch the {name} on the validation images is measured; when its mean over {Window} epochs " +
                $"has not {improved} for {Patience} epochs, training ends, and the best weights seen come back.";
        }
    }

    /// <summary>The rule's state in one run.</summary>
    public sealed class Run(StoppingRule rule, EarlyStoppingState? state = null, IEnumerable<double>? last = null)
    {
        private readonly Queue<double> _last = new(last ?? []);
        private readonly EarlyStopping _stopping = new(
            new EarlyStoppingOptions
            {
                Mode = rule.Metric == StoppingMetric.Loss ? MetricMode.Minimize : MetricMode.Maximize,
                Patience = rule.Patience,
            },
            state);

        /// <summary>What a run that goes on needs, with <see cref="Last"/>.</summary>
        public EarlyStoppingState State => _stopping.State;

        /// <summary>The last scores, fewer than the window.</summary>
        public IReadOnlyCollection<double> Last => _last;

        /// <summary>True right after the best epoch so far.</summary>
        public bool IsBest => _stopping.IsBest;

        /// <summary>The best epoch so far, counted from 1; null as long as there are too few epochs for a mean.</summary>
        public int? BestEpoch => _stopping.BestEvaluation < 0 ? null : _stopping.BestEvaluation + rule.Window;

        /// <summary>Takes the score after an epoch; true ends training.</summary>
        public bool Update(Score validation)
        {
            _last.Enqueue(rule.Metric == StoppingMetric.Loss ? validation.Loss : validation.Accuracy);
            if (_last.Count < rule.Window) return false;
            bool stop = _stopping.Update(_last.Average());
            _last.Dequeue();
            return stop;
        }
    }
}
